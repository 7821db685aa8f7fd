"""A person at a browser: opens a page of the authority, signs in, says yes and goes where that leads.

Arguments: address of the page, name, password.
"""

import html.parser
import sys
import urllib.parse

import requests


class Form(html.parser.HTMLParser):
    """The form of a page: where it goes to, its fields, and the button that stands first."""

    def __init__(self, page):
        super().__init__()
        self.action = None
        self.fields = {}
        self.chosen = False
        self.feed(page.text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        name, value = attributes.get("name"), attributes.get("value") or ""
        if tag == "form":
            self.action = attributes.get("action")
        elif tag == "input" and name:
            self.fields[name] = value
        elif tag == "button" and name and not self.chosen:
            self.fields[name] = value
            self.chosen = True


def main(address, name, password):
    with requests.Session() as session:
        page = session.get(address)
        page.raise_for_status()
        form = Form(page)
        assert "password" in form.fields, page.text
        fields = {**form.fields, "username": name, "password": password}
        page = session.post(urllib.parse.urljoin(page.url, form.action), data=fields)
        page.raise_for_status()
        form = Form(page)
        assert "password" not in form.fields, page.text
        if form.action is not None:
            # The way back to the program that sent the browser.
            session.post(form.action, data=form.fields).raise_for_status()


main(*sys.argv[1:])
