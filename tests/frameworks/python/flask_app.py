"""A real Flask application: Flask-Login on Flask-Session in Redis, as their documentation sets them up."""

import os

from flask import Flask, jsonify, request, session
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_session import Session
from redis import Redis

import serving

app = Flask(__name__)
app.config.update(
    SECRET_KEY="of a test",
    SESSION_TYPE="redis",
    SESSION_REDIS=Redis.from_url(os.environ["REDIS_URL"]),
    SESSION_KEY_PREFIX=os.environ.get("PREFIX", "session:"),
    SESSION_SERIALIZATION_FORMAT=os.environ.get("FORMAT", "msgpack"),
)
Session(app)
logins = LoginManager(app)


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@logins.user_loader
def load(name):
    return User(name)


@app.post("/login")
def login():
    # A new session id at sign-in, as Flask-Session advises.
    app.session_interface.regenerate(session)
    login_user(User(request.json["user"]))
    return jsonify(user=current_user.id)


@app.get("/me")
@login_required
def me():
    return jsonify(user=current_user.id)


@app.get("/hold/<name>")
@login_required
def hold(name):
    session["held"] = name
    serving.hold(name)
    return jsonify(user=current_user.id)


@app.get("/held/<name>")
def held(name):
    return jsonify(held=serving.is_held(name))


@app.post("/release/<name>")
def release(name):
    return "", 204 if serving.release(name) else 404


if __name__ == "__main__":
    serving.serve(app)
