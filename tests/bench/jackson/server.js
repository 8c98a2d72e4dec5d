// Jackson's directory sync behind Node's own HTTP server, with nothing in between, on the PostgreSQL at DATABASE_URL.
// Prints one line of JSON once it listens: where its SCIM is, and the bearer token for it.
"use strict";

const http = require("node:http");
const jackson = require("@boxyhq/saml-jackson").default;

const PREFIX = "/api/scim/v2.0";

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
}

function asked(request, base) {
  const url = new URL(request.url, base);
  const [directoryId, resourceType, resourceId] = url.pathname.slice(PREFIX.length + 1).split("/");
  const number = (name) => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : undefined);
  return {
    method: request.method,
    directoryId,
    resourceType,
    resourceId,
    apiSecret: (request.headers.authorization ?? "").replace(/^Bearer /, ""),
    query: {
      filter: url.searchParams.get("filter") ?? undefined,
      count: number("count"),
      startIndex: number("startIndex"),
    },
  };
}

async function main() {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  const { directorySyncController: sync } = await jackson({
    externalUrl: base,
    samlPath: "/api/oauth/saml",
    scimPath: PREFIX,
    db: { engine: "sql", type: "postgres", url: process.env.DATABASE_URL },
    noAnalytics: true,
    idpEnabled: false,
    clientSecretVerifier: "of-a-benchmark",
    logger: { info() {}, warn: console.error, error: console.error },
  });
  const made = await sync.directories.create({
    tenant: "leaver",
    product: "bench",
    name: "bench",
    type: "generic-scim-v2",
  });
  if (made.error) throw new Error(made.error.message);

  server.on("request", async (request, response) => {
    const answer = (status, data) => {
      response.writeHead(status, { "content-type": "application/scim+json" });
      response.end(data == null || status === 204 ? undefined : JSON.stringify(data));
    };
    try {
      const call = { ...asked(request, base), body: await body(request) };
      // Nobody is told of what changes: the events are the only thing that a webhook would add.
      const { status, data } = await sync.requests.handle(call, async () => {});
      answer(status, data);
    } catch (error) {
      answer(error.statusCode ?? 500, { detail: String(error.message ?? error) });
    }
  });
  console.log(JSON.stringify({ scim: made.data.scim.endpoint, token: made.data.scim.secret }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
