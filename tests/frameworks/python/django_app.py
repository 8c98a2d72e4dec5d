"""A real Django application: django.contrib.auth on django.contrib.sessions, in PostgreSQL or in PostgreSQL and a cache."""

import json
import os
from urllib.parse import urlparse

import django
from django.conf import settings

database = urlparse(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path[1:],
            "USER": database.username,
            "PASSWORD": database.password,
            "HOST": database.hostname,
            "PORT": database.port,
        }
    },
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REDIS_URL"],
            "KEY_PREFIX": os.environ.get("PREFIX", ""),
        }
    },
    SESSION_ENGINE=os.environ.get("SESSION_ENGINE", "django.contrib.sessions.backends.db"),
)
django.setup()

from django.contrib.auth import get_user_model, login
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

import serving


def sign_in(request):
    name = json.loads(request.body)["user"]
    user, _ = get_user_model().objects.get_or_create(username=name)
    login(request, user)
    return JsonResponse({"user": name})


def me(request):
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return JsonResponse({"user": request.user.username})


def hold(request, name):
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    request.session["held"] = name
    serving.hold(name)
    return JsonResponse({"user": request.user.username})


def held(request, name):
    return JsonResponse({"held": serving.is_held(name)})


def release(request, name):
    return HttpResponse(status=204 if serving.release(name) else 404)


urlpatterns = [
    path("login", sign_in),
    path("me", me),
    path("hold/<name>", hold),
    path("held/<name>", held),
    path("release/<name>", release),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    serving.serve(get_wsgi_application())
