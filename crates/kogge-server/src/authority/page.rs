//! Pages for people: plain HTML that works without script, without style and in a terminal.

use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use kogge_types::Digest;

use super::cookie;
use crate::body::Body;
use crate::config::Scheme;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem;\
color:#1b1b1f;background:#fff}label{display:block;margin:1rem 0 .25rem}input{font:inherit;width:100%;padding:.5rem;\
box-sizing:border-box;border:1px solid #767680;border-radius:4px}button{font:inherit;margin:1.5rem .5rem 0 0;\
padding:.5rem 1.25rem;border:1px solid #767680;border-radius:4px}button.main{background:#0b5cad;color:#fff;\
border-color:#0b5cad}.error{border-left:4px solid #b3261e;padding-left:.75rem}\
@media(prefers-color-scheme:dark){body{color:#e6e6ea;background:#1b1b1f}}";

/// What lets the one style in, and nothing else.
static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", BASE64_STANDARD.encode(Digest::sha256(STYLE.as_bytes()).hash())));

/// A page in the making.
pub(super) struct Page {
    status: StatusCode,
    title: &'static str,
    content: String,
    /// Where forms of the page may lead beside this host: an origin.
    leads_to: Option<String>,
}

/// `text` as it can stand in HTML, between tags and in quotes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

impl Page {
    pub(super) fn new(status: StatusCode, title: &'static str) -> Self {
        Self { status, title, content: format!("<h1>{}</h1>\n", escape(title)), leads_to: None }
    }

    pub(super) fn paragraph(mut self, text: &str) -> Self {
        let _ = writeln!(self.content, "<p>{}</p>", escape(text));
        self
    }

    /// What went wrong, when something did.
    pub(super) fn error(mut self, text: Option<&str>) -> Self {
        if let Some(text) = text {
            let _ = writeln!(self.content, "<p class=\"error\" role=\"alert\">{}</p>", escape(text));
        }
        self
    }

    /// Lets the page's forms lead to `uri` too: browsers hold redirects that follow a form to the same rule.
    pub(super) fn leading_to(mut self, uri: &str) -> Self {
        let end = uri
            .find("://")
            .map(|scheme| scheme + 3)
            .map(|start| uri[start..].find(['/', '?', '#']).map_or(uri.len(), |length| start + length));
        self.leads_to = end.map(|end| uri[..end].to_owned()).filter(|origin| !origin.contains([';', ',', ' ']));
        self
    }

    /// A form: hidden fields, then whatever `fields` writes.
    pub(super) fn form(mut self, action: &str, hidden: &[(&str, &str)], fields: &str) -> Self {
        let _ = writeln!(self.content, "<form method=\"post\" action=\"{}\">", escape(action));
        for (name, value) in hidden {
            let _ =
                writeln!(self.content, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value));
        }
        let _ = writeln!(self.content, "{fields}</form>");
        self
    }

    pub(super) fn respond(self) -> Response<Body> {
        let html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{}\
             </main>\n</body>\n</html>\n",
            escape(self.title),
            self.content
        );
        let mut response = Response::new(Body::Full(Bytes::from(html)));
        *response.status_mut() = self.status;
        let policy = format!(
            "default-src 'none'; style-src {}; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
            *STYLE_SOURCE,
            self.leads_to.unwrap_or_default()
        );
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// The fields of a name and a password. `focus` puts the cursor there.
pub(super) fn login_fields(name: &str) -> String {
    format!(
        "<label for=\"username\">User name</label>\n<input id=\"username\" name=\"username\" value=\"{}\" \
         autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" maxlength=\"64\" required>\n<label \
         for=\"password\">Password</label>\n<input id=\"password\" name=\"password\" type=\"password\" \
         autocomplete=\"current-password\" required>\n",
        escape(name)
    )
}

/// Two buttons of a form, by what they answer and say. The second needs no field to be filled.
pub(super) fn buttons(yes: (&str, &str), no: (&str, &str)) -> String {
    format!(
        "<button class=\"main\" name=\"decision\" value=\"{}\">{}</button>\n<button name=\"decision\" value=\"{}\" \
         formnovalidate>{}</button>\n",
        yes.0, yes.1, no.0, no.1
    )
}

/// There are no sessions to end: every login asks for the password. What is left is the form's cookie.
pub(super) fn signed_out(scheme: Scheme) -> Response<Body> {
    let text = "This browser keeps no login here. Programs that you signed in to keep theirs until you sign out there.";
    let mut response = Page::new(StatusCode::OK, "Signed out").paragraph(text).respond();
    response.headers_mut().insert(SET_COOKIE, cookie::forget(scheme));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        let page = Page::new(StatusCode::OK, "T").form("/a?b=\"", &[("state", "\"><script>")], "");
        assert!(!page.content.contains("<script>"), "{}", page.content);
    }

    #[test]
    fn forms_lead_to_this_host_and_to_one_origin() {
        let policy = |uri| {
            let response = Page::new(StatusCode::OK, "T").leading_to(uri).respond();
            response.headers()[CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned()
        };
        assert!(policy("http://localhost:8400/x?y").contains("form-action 'self' http://localhost:8400; frame"));
        assert!(policy("https://p.example.com").contains("form-action 'self' https://p.example.com; frame"));
        assert!(!policy("https://p.example.com; script-src *").contains("script-src"));
        assert!(policy("https://a").starts_with("default-src 'none'; style-src 'sha256-"));
    }
}
