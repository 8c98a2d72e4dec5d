// A real Express application: express-session with connect-redis, as its documentation sets them up. Tests end its sessions from outside.
//
// PORT (0: any), REDIS_URL, PREFIX and RESAVE come from the environment; the only line on stdout is `listening <port>`.

import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(`redis: ${error.message}`));
await client.connect();

const app = express();
app.use(express.json());
app.use(
  session({
    store: new RedisStore({ client, prefix: process.env.PREFIX ?? "sess:" }),
    secret: "of a test",
    resave: process.env.RESAVE === "true",
    saveUninitialized: false,
  }),
);

function signedIn(req, res, next) {
  if (req.session.passport) next();
  else res.sendStatus(401);
}

// A new session id at sign-in, as passport makes it.
app.post("/login", (req, res, next) => {
  const user = req.body?.user;
  if (user === undefined) return res.sendStatus(400);
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.passport = { user };
    res.json({ user });
  });
});

app.get("/me", signedIn, (req, res) => res.json({ user: req.session.passport.user }));

app.post("/logout", (req, res, next) => {
  req.session.destroy((error) => (error ? next(error) : res.sendStatus(204)));
});

// A request in flight: it has read its session, has changed it, and waits. Released, it finishes, and express-session writes the
// session as the request knows it. `?change=no` waits without changing anything.
const held = new Map();

app.get("/hold/:name", signedIn, (req, res) => {
  const { name } = req.params;
  if (held.has(name)) return res.sendStatus(409);
  if (req.query.change !== "no") req.session.held = name;
  held.set(name, () => res.json({ user: req.session.passport.user }));
  res.on("close", () => held.delete(name));
});

app.get("/held/:name", (req, res) => res.json({ held: held.has(req.params.name) }));

app.post("/release/:name", (req, res) => {
  const finish = held.get(req.params.name);
  if (!finish) return res.sendStatus(404);
  held.delete(req.params.name);
  finish();
  res.sendStatus(204);
});

const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`listening ${server.address().port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
    client.destroy();
  });
}
