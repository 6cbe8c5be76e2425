// FullStory's own SDK against the sandbox: `node fullstory_sdk.cjs FOLDER SCENARIO`, with the sandbox's address in
// FS_API_HOST and NODE_ENV=test, without which the SDK would ask FullStory itself. FOLDER is where npm installed it.
//
// The scenarios whose names begin with "smoke" do what the SDK's own smoke tests do on a live organisation.
"use strict";
const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const { join } = require("node:path");

const [folder, wanted] = process.argv.slice(2);
const load = createRequire(join(folder, "package.json"));
const { init } = load("@fullstory/server-api-client");
const { FSErrorName, isFSError } = load("@fullstory/server-api-client/lib/errors"); // its page says that the above has them
const sandbox = process.env.FS_API_HOST;

const client = (apiKey = "na1.architect", options = {}) => init({ apiKey, ...options });
const { users, events } = client();
const quick = { pollInterval: 20 };
const plan = { plan: "gold", signed: { up: true, up_date: "2000-10-31T00:00:00Z", up_str: "x" }, phone: "404" };
const both = [{ uid: "u1", display_name: "One", email: "one@example.com", properties: plan }, { uid: "u2" }];

const scenarios = {};
const scenario = (name, play) => { scenarios[name] = play; };

const ask = async (path, body) => {
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return (await fetch(`${sandbox}/sandbox/${path}`, sent)).text();
};
const truth = async (kind) => (await ask(`truth?kind=${kind}`)).split("\n").filter(Boolean).map((line) => JSON.parse(line).item);
const succeeded = (response, body) => {
  assert.equal(response.httpStatusCode, 200);
  assert.ok(response.httpHeaders["content-type"].startsWith("application/json"));
  if (body !== undefined) assert.deepEqual(response.body, body);
  return response.body;
};
const fails = async (call, name, status, code, message) => {
  const error = await call.then(() => assert.fail("it did not fail"), (error) => error);
  assert.ok(isFSError(error), `${error}`);
  assert.deepEqual([error.name, error.httpStatusCode], [name, status]);
  if (code !== undefined) assert.equal(error.fsErrorPayload.code, code);
  if (message !== undefined) assert.equal(error.fsErrorPayload.message, message);
  return error;
};
const refused = (call, ...how) => fails(call, FSErrorName.ERROR_FULLSTORY, ...how);
const done = (job, restart) => new Promise((resolve, reject) => {
  const seen = [];
  job.on("created", () => seen.push("created"));
  job.on("processing", (processing) => {
    assert.deepEqual([processing.getStatus(), processing.getImports(), processing.getFailedImports()], ["PROCESSING", [], []]);
    seen.push("processing");
  });
  job.on("error", (error) => seen.push(error));
  job.on("abort", (errors) => reject(errors[0]));
  job.on("done", (imported, failed) => resolve({ imported, failed, seen, job }));
  if (restart) job.restart(restart); else job.execute();
});
const only = (objects, key, value) => {
  const found = objects.filter((each) => each[key] === value);
  assert.equal(found.length, 1, `${key} ${value}`);
  return found[0];
};

scenario("smoke: a user is created, read, updated and deleted", async () => {
  const { id } = succeeded(await users.create({ body: both[0] }));
  const read = succeeded(await users.get({ id, includeSchema: true }));
  assert.deepEqual({ ...read, schema: undefined }, { id, ...both[0], is_being_deleted: false, schema: undefined });
  assert.deepEqual(read.schema.properties, {
    plan: "str", phone: "str", "signed.up": "bool", "signed.up_date": "str", "signed.up_str": "str",
  });
  succeeded(await users.update({ id, body: { display_name: "Two", properties: { signed: { up: false }, more: "x" } } }), { id });
  const { display_name, properties } = succeeded(await users.get({ id }));
  assert.deepEqual([display_name, properties.signed.up, properties.more], ["Two", false, "x"]);
  succeeded(await users.delete({ id }), {});
  await refused(users.get({ id }), 404, "user_not_found");
});

scenario("smoke: a job imports users, those without uid too", async () => {
  const job = users.batchCreate({ body: { requests: [both[0]] }, includeSchema: true }, quick);
  const { imported, failed, seen } = await done(job.add({ display_name: "Two" }, { display_name: "Three" }));
  assert.deepEqual([imported.length, failed, job.getStatus()], [3, [], "COMPLETED"]);
  for (const sent of [both[0], { display_name: "Two" }, { display_name: "Three" }]) {
    const found = only(imported, "display_name", sent.display_name);
    assert.deepEqual({ ...found, ...sent }, found);
    assert.ok(found.id && found.schema);
  }
  assert.ok(seen.includes("created"));
});

scenario("smoke: an event without a name is refused in the live API's words", async () => {
  for (const body of [{ name: "" }, {}, { name: null }])
    await refused(events.create({ body }), 400, "invalid_argument", "events must have a non-empty name");
  assert.deepEqual(await truth("event"), []);
});

scenario("smoke: an event is created for a uid that nobody has yet", async () => {
  const body = { user: { uid: "new" }, name: "By uid", properties: plan };
  succeeded(await events.create({ body }), {});
  assert.deepEqual(await truth("event"), [body]);
  assert.equal(succeeded(await users.list({ uid: "new" })).results.length, 1);
});

scenario("smoke: an event is created for FullStory's own id of a user", async () => {
  const { id } = succeeded(await users.create({ body: { display_name: "One" } }));
  succeeded(await events.create({ body: { user: { id }, name: "By id", properties: plan } }), {});
  assert.equal(succeeded(await users.list({})).total_records, "1");
});

scenario("smoke: an event of nobody makes an anonymous user", async () => {
  succeeded(await events.create({ body: { name: "Of nobody", properties: plan } }), {});
  assert.equal(succeeded(await users.list({ isIdentified: false })).total_records, "1");
});

scenario("smoke: a job imports events", async () => {
  const job = events.batchCreate({ body: { requests: [{ name: "One", properties: plan }] } }, quick);
  const { imported, failed } = await done(job.add({ name: "Two" }, { name: "Three" }));
  assert.deepEqual([imported.length, failed, job.getStatus()], [3, [], "COMPLETED"]);
  assert.deepEqual(only(imported, "name", "One").properties, plan);
  assert.ok(only(imported, "name", "Two").user.id);
  assert.ok(only(imported, "name", "Three").timestamp);
});

scenario("users are listed by each filter and page by page", async () => {
  for (let n = 0; n < 5; n++) await users.create({ body: { uid: `u${n}`, email: `${n % 2}@example.com`, display_name: `n ${n}&` } });
  assert.deepEqual(succeeded(await users.list({ displayName: "n 3&" })).results.map((user) => user.uid), ["u3"]);
  assert.equal(succeeded(await users.list({ email: "0@example.com", isIdentified: true })).total_records, "3");
  const found = [];
  for (let pageToken, more = true; more;) {
    const page = succeeded(await users.list({ pageToken, includeSchema: true }));
    found.push(...page.results);
    pageToken = page.next_page_token;
    more = !!pageToken;
  }
  assert.deepEqual(found.map((user) => user.uid), ["u0", "u1", "u2", "u3", "u4"]);
  assert.ok(found.every((user) => user.schema));
});

scenario("a user is deleted by uid, once", async () => {
  const uid = "a/b c+ü&?";
  const { id } = succeeded(await users.create({ body: { uid } }));
  succeeded(await users.delete({ uid }), {});
  assert.deepEqual(await truth("deletion"), [{ uid, id }]);
  await refused(users.delete({ uid }), 404, "user_not_found", "Requested resource does not exist");
});

scenario("a Standard key may write, and neither read nor delete", async () => {
  const standard = client("na1.standard");
  const { id } = succeeded(await standard.users.create({ body: both[0] }));
  succeeded(await standard.users.update({ id, body: { email: "new@example.com" } }), { id });
  for (const call of [standard.users.get({ id }), standard.users.list({}), standard.users.delete({ id }), standard.users.delete({ uid: "u1" })])
    await refused(call, 403, "forbidden", "insufficient permissions");
  assert.deepEqual(await truth("deletion"), []);
});

scenario("a key is taken with and without the word Basic, and a wrong one refused", async () => {
  succeeded(await client("Basic na1.architect").users.list({}));
  await refused(client("na1.wrong").users.list({}), 401, "unauthorized", "access is unauthorized");
});

scenario("the source of an integration arrives, of a client and with other options", async () => {
  await client("na1.architect", { integrationSource: "ours" }).events.create({ body: { name: "n" } });
  await users.withOptions({ integrationSource: "theirs" }).create({ body: {} });
  await events.withOptions({}).create({ body: { name: "n" } });
  const requests = JSON.parse(await ask("requests"));
  assert.deepEqual(requests.map((each) => each.integration_source), ["ours", "theirs", null]);
});

scenario("a key for idempotency makes one effect of two calls", async () => {
  const call = { body: { name: "Once" }, idempotencyKey: "k" };
  succeeded(await events.create(call), {});
  succeeded(await events.create(call), {});
  assert.equal((await truth("event")).length, 1);
  await refused(events.create({ body: { name: "Twice" }, idempotencyKey: "k" }), 409, "idempotency_conflict");
});

scenario("a job that fails in part shows the failed users on all pages", async () => {
  const bad = [1, 2, 3].map((n) => ({ uid: `${n}`.repeat(257) }));
  const { imported, failed, job } = await done(users.batchCreate({ body: { requests: [...both, ...bad] } }, quick));
  assert.deepEqual([imported, failed.length, job.getStatus()], [[], 3, "FAILED"]);
  for (const item of bad) {
    const failure = failed.find(({ user }) => user.uid === item.uid);
    assert.deepEqual(failure, { message: "uid must not exceed 256 characters", code: "invalid_argument", user: item });
  }
  assert.equal((await truth("user")).length, 2);
});

scenario("a job that fails in part shows the failed events with what they shared", async () => {
  const shared = { context: { browser: { url: "https://example.com/" }, location: { country: "US", region: "GA" } } };
  const requests = [{ name: "Good" }, { name: "" }, { name: "Own", context: { browser: { url: "x" } } }];
  const { failed } = await done(events.batchCreate({ body: { requests, shared } }, quick));
  assert.deepEqual(failed.map(({ event }) => event.name).sort(), ["", "Own"]);
  assert.ok(failed.every((failure) => failure.code === "invalid_argument"));
  assert.deepEqual(failed[0].shared, shared);
  assert.deepEqual(await truth("event"), [{ ...shared, name: "Good" }]);
});

scenario("a job is followed by its id alone, by another client", async () => {
  const first = await done(events.batchCreate({ body: { requests: [{ name: "One" }] } }, quick));
  const again = await done(client().events.batchCreate(undefined, quick), first.job.getId());
  assert.deepEqual(again.imported, first.imported);
});

scenario("a job that nobody knows is aborted", async () => {
  await refused(done(users.batchCreate(undefined, quick), "nobody/knows+it="), 404, "resource_not_found");
});

scenario("a job waits as long as Retry-After says and goes on", async () => {
  await ask("limit", { requests_per_s: 2, burst: 1 });
  const { imported, seen } = await done(events.batchCreate({ body: { requests: [{ name: "n" }] } }, { pollInterval: 20, maxRetry: 9 }));
  assert.equal(imported.length, 1);
  const throttled = seen.find((each) => each.name === FSErrorName.ERROR_RATE_LIMITED);
  assert.deepEqual([throttled.httpStatusCode, throttled.getRetryAfter(), throttled.canRetry()], [429, 1000, true]);
  assert.equal(throttled.fsErrorPayload.message, "Too many requests. Client has exceeded the rate limit for this endpoint.");
});

scenario("an outage is an error that may not be retried", async () => {
  await ask("faults", { outage_status: 500 });
  const error = await refused(users.list({}), 500, "server_error", "Server error was encountered");
  assert.equal(error.canRetry(), false);
});

scenario("the samples of the SDK's page are taken", async () => {
  succeeded(await users.create({
    body: { uid: "user123", display_name: "Display Name", email: "user123@example.com", properties: { pricing_plan: "paid", popup_help: true, total_spent: 14.55 } },
    idempotencyKey: "YOUR_KEY",
  }));
  succeeded(await events.create({
    body: {
      session: { id: "123:456" },
      context: {
        browser: { url: "https://www.example.com", initial_referrer: "https://www.referrer.com" },
        location: { latitude: 33.748997, longitude: -84.387985 },
      },
      name: "Support Ticket",
      timestamp: "2022-03-15T14:23:23Z",
      properties: { id: 424242, priority: "Normal", source: "Email", title: "Account locked out" },
    },
  }), {});
});

scenario("what the SDK refuses by itself never arrives", async () => {
  const refusal = { name: FSErrorName.ERROR_INVALID_ARGUMENT };
  await assert.rejects(users.delete({ uid: "u1", id: "1" }), refusal);
  await assert.rejects(users.delete({}), refusal);
  assert.throws(() => init({}), refusal);
  assert.equal(JSON.parse(await ask("stats")).requests_total, 0);
});

scenarios[wanted]().catch((error) => {
  console.error(error);
  process.exitCode = 1;
}).finally(() => process.exit());
