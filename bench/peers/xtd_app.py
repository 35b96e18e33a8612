"""django-comments-xtd with its own JSON API. `python -m peers.xtd_app` makes its tables, and two pages to comment on.

Set up for production, and in its favor: the threads keep their connections, and there is no middleware, no translation
and no confirmation by mail. Who posts is taken for a client of the API, which needs no form; its signal is for that.
"""

import os

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.dispatch import receiver
from django.urls import include, path
from django_comments_xtd.signals import should_request_be_authorized
from psycopg2.extensions import parse_dsn

database = parse_dsn(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="of no use",  # noqa: S106
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.flatpages",
        "django.contrib.sites",
        "django_comments_xtd",
        "django_comments",
        "rest_framework",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.pop("dbname"),
            "OPTIONS": database,
            "CONN_MAX_AGE": None,
        }
    },
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    SITE_ID=1,
    TIME_ZONE="UTC",
    USE_I18N=False,
    COMMENTS_APP="django_comments_xtd",
    COMMENTS_XTD_CONFIRM_EMAIL=False,
)
app = get_wsgi_application()
urlpatterns = [path("comments/", include("django_comments_xtd.urls"))]


@receiver(should_request_be_authorized)
def authorize(**_: object) -> bool:
    return True


if __name__ == "__main__":
    from django.contrib.flatpages.models import FlatPage

    call_command("migrate")
    FlatPage.objects.bulk_create([FlatPage(pk=1, url="/post"), FlatPage(pk=2, url="/written")])
