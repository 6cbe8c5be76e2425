// Runs Segment's published FullStory destination (cloud actions, version 2) over messages, one JSON text a line on
// standard input, and writes each with the requests that the destination makes. Nothing leaves the machine: the HTTP
// client below the destination is replaced before the destination is loaded.
'use strict'

const path = require('node:path')
const readline = require('node:readline')
const { createRequire } = require('node:module')

const load = createRequire(path.resolve(process.argv[2] ?? '.', 'package.json'))
const core = createRequire(load.resolve('@segment/actions-core'))
const http = core('cross-fetch')

let requests = []

async function take(url, options) {
  const request = new http.Request(url, options)
  const body = await request.text()
  requests.push({ method: request.method, url: request.url, body: body ? JSON.parse(body) : null })
  return new http.Response('{}', { status: 200, headers: { 'content-type': 'application/json' } })
}

const found = require.cache[core.resolve('cross-fetch')]
found.exports = Object.assign(take, { ...http, default: take, fetch: take })

const { Destination } = load('@segment/actions-core')
const definition = load('@segment/action-destinations/dist/destinations/fullstory').default

async function main() {
  const subscriptions = definition.presets.filter((preset) => /identify|track/.test(preset.subscribe))
  const destination = new Destination(definition)
  for await (const line of readline.createInterface({ input: process.stdin })) {
    requests = []
    let refused = null
    try {
      await destination.onEvent(JSON.parse(line), { apiKey: 'key', subscriptions })
    } catch (error) {
      refused = error.name
    }
    process.stdout.write(JSON.stringify({ message: JSON.parse(line), requests, refused }) + '\n')
  }
}

main()
