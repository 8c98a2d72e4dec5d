// A real application on Auth.js: sessions in PostgreSQL by its own adapter, sign-in by a link that is sent to an address.
//
// PORT (0: any) and DATABASE_URL come from the environment; the only line on stdout is `listening <port>`.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { Auth, skipCSRFCheck } from "@auth/core";
import PostgresAdapter from "@auth/pg-adapter";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await pool.query(readFileSync(new URL("schema.sql", import.meta.url), "utf8"));

const COOKIE = "authjs.session-token";

// The links that were sent, by address: no test has a mailbox.
const sent = new Map();

const config = {
  adapter: PostgresAdapter(pool),
  basePath: "/auth",
  providers: [
    {
      id: "mail",
      type: "email",
      name: "Mail",
      maxAge: 600,
      sendVerificationRequest: ({ identifier, url }) => void sent.set(identifier, url),
    },
  ],
  secret: "of a test",
  // Every look at a session writes it, as it does once a day otherwise.
  session: { strategy: "database", updateAge: 0 },
  skipCSRFCheck,
  trustHost: true,
};

function auth(path, init) {
  return Auth(new Request(new URL(path, "http://127.0.0.1"), init), config);
}

/** Asks for a link and follows it; returns the cookie of the session. */
async function signIn(user) {
  const email = `${user}@example.com`;
  await auth("/auth/signin/mail", { method: "POST", body: new URLSearchParams({ email }) });
  const answer = await auth(sent.get(email));
  return answer.headers.getSetCookie().find((cookie) => cookie.startsWith(`${COOKIE}=`));
}

/** Who is signed in, as Auth.js says. */
async function user(request) {
  const answer = await auth("/auth/session", { headers: { cookie: request.headers.cookie ?? "" } });
  return (await answer.json())?.user?.email?.split("@")[0];
}

// A request in flight: it has read its session, and waits. Released, it looks again, which makes Auth.js write.
const held = new Map();

const routes = {
  "POST /login": async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { user } = JSON.parse(Buffer.concat(chunks).toString());
    response.setHeader("set-cookie", await signIn(user));
    return [200, { user }];
  },
  "GET /me": async (request) => {
    const name = await user(request);
    return name ? [200, { user: name }] : [401];
  },
  "GET /hold": async (request, _, name) => {
    const before = await user(request);
    if (!before) return [401];
    await new Promise((resolve) => held.set(name, resolve));
    await user(request);
    return [200, { user: before }];
  },
  "GET /held": async (_request, _response, name) => [200, { held: held.has(name) }],
  "POST /release": async (_request, _response, name) => {
    const finish = held.get(name);
    held.delete(name);
    finish?.();
    return [finish ? 204 : 404];
  },
};

const server = createServer(async (request, response) => {
  const [, path, name] = request.url.split("/");
  const route = routes[`${request.method} /${path}`];
  try {
    const [status, body] = route ? await route(request, response, name) : [404];
    response.writeHead(status, { "content-type": "application/json" }).end(body && JSON.stringify(body));
  } catch (error) {
    console.error(error);
    response.writeHead(500).end();
  }
});

server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(`listening ${server.address().port}`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
    pool.end();
  });
}
