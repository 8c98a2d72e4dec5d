-- As the documentation of @auth/pg-adapter gives it, which the package does not bring along; without accounts, which a link
-- by mail does not need.
create table verification_token (
  identifier text not null,
  expires timestamptz not null,
  token text not null,
  primary key (identifier, token)
);
create table sessions (
  id serial,
  "userId" integer not null,
  expires timestamptz not null,
  "sessionToken" varchar(255) not null,
  primary key (id)
);
create table users (
  id serial,
  name varchar(255),
  email varchar(255),
  "emailVerified" timestamptz,
  image text,
  primary key (id)
);
