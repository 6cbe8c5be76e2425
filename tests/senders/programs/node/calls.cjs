// The calls by the libraries for JavaScript: `node calls.cjs LIBRARY ADDRESS`, in the folder where they are installed.
'use strict'

const path = require('node:path')
const { createRequire } = require('node:module')

const load = createRequire(path.resolve('package.json'))
const moment = new Date('2026-03-04T04:06:07.890Z')
const traits = { name: 'Ada Byron', email: 'ada@tea.example', plan: 'pro', logins: 42, born: moment }
const values = {
  whole: 42,
  real: 42.0,
  huge: Number.MAX_SAFE_INTEGER + 2,
  beyond: 88888888888888888888888,
  nan: NaN,
  flag: true,
  nothing: null,
  moment,
  nested: { a: { b: 1 } },
  list: [1, 2.5],
  things: [{ sku: 't' }],
}
const wait = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

async function onAServer(client) {
  const userId = 'u-1'
  client.identify({ userId, traits })
  client.track({ userId, event: 'Plain' })
  client.track({ userId, event: 'Values', properties: values })
  try {
    client.track({ userId: 42, event: 'Number Id' })
  } catch {
    // Segment's takes texts only
  }
  client.track({ anonymousId: 'a-1', event: 'Visitor' })
  client.track({ userId, event: 'Dated', timestamp: moment })
  client.track({ userId, event: 'Opted Out', integrations: { All: false } })
  client.group({ userId, groupId: 'g-1', traits: { name: 'Tea' } })
  client.page({ userId, name: 'Cart', properties: { url: 'https://tea.example/cart' } })
  client.screen({ userId, name: 'Cart' })
  client.alias({ userId, previousId: 'a-1' })
}

async function inABrowser(client, dated = { timestamp: moment }) {
  await client.track('Visitor')
  await client.identify('u-1', traits)
  await client.track('Plain')
  await client.track('Values', values)
  await client.track('Dated', {}, dated)
  await client.track('Opted Out', {}, { integrations: { All: false } })
  await client.group('g-1', { name: 'Tea' })
  await client.page('Cart')
  if (client.alias) await client.alias('u-1', 'a-1')
  await client.identify(42)
  await client.track('Number Id')
}

function openAPage() {
  const { JSDOM } = load('jsdom')
  const page = new JSDOM('<!doctype html><title>Cart</title>', {
    url: 'https://tea.example/cart?utm_source=leaf',
    pretendToBeVisual: true,
  })
  const { window } = page
  globalThis.window = window
  const own = ['document', 'navigator', 'location', 'localStorage', 'sessionStorage', 'screen', 'XMLHttpRequest',
    'Element', 'Node', 'HTMLElement', 'CustomEvent', 'self', 'history']
  for (const name of own) Object.defineProperty(globalThis, name, { value: window[name], configurable: true })
  for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent'])
    globalThis[name] = window[name].bind(window)
  window.fetch = globalThis.fetch
}

const LIBRARIES = {
  async 'segment-node'(address) {
    const { Analytics } = load('@segment/analytics-node')
    const client = new Analytics({ writeKey: 'key', host: address })
    await onAServer(client)
    await client.closeAndFlush()
  },
  async 'rudderstack-node'(address) {
    const found = load('@rudderstack/rudder-sdk-node')
    const client = new (found.default ?? found)('key', { dataPlaneUrl: address, gzip: false })
    await onAServer(client)
    await client.flush()
  },
  async 'segment-browser'(address) {
    openAPage()
    const { AnalyticsBrowser } = load('@segment/analytics-next')
    const to = { apiHost: `${new URL(address).host}/v1`, protocol: 'http' }
    const cdnSettings = { integrations: { 'Segment.io': { apiKey: 'key' } } }
    await inABrowser(AnalyticsBrowser.load({ writeKey: 'key', cdnSettings }, { integrations: { 'Segment.io': to } }))
    await wait(2)
  },
  async 'rudderstack-browser'(address) {
    openAPage()
    const { RudderAnalytics } = load('@rudderstack/analytics-js/bundled')
    const client = new RudderAnalytics()
    const source = { id: 's', name: 's', writeKey: 'key', enabled: true, destinations: [], config: {} }
    const getSourceConfig = () => ({ source: { ...source, workspaceId: 'w' } })
    client.load('key', address, { getSourceConfig, configUrl: address, polyfillIfRequired: false })
    await new Promise((resolve) => client.ready(resolve))
    await inABrowser(client, { originalTimestamp: moment.toISOString() })
    await wait(3)
  },
  async jitsu(address) {
    openAPage()
    const { jitsuAnalytics } = load('@jitsu/js')
    await inABrowser(jitsuAnalytics({ host: address, writeKey: 'key:secret' }))
    await wait(2)
  },
}

LIBRARIES[process.argv[2]](process.argv[3]).then(() => process.exit(0))
