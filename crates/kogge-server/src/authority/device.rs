//! Logins of programs without a browser (RFC 8628): what they are told, and the page where somebody approves.

use http::header::SET_COOKIE;
use http::{Method, Response, StatusCode};
use kogge_core::identity::refusal::GrantError;
use serde_json::{Value, json};

use super::cookie::{self, FormToken};
use super::form::Form;
use super::page::{Page, buttons, escape, login_fields};
use super::sign_in::sentence;
use super::{PATH, Request};
use crate::body::Body;
use crate::served::Answered;

/// Begins such a login.
pub(super) async fn start(request: &Request<'_>, body: &[u8]) -> Result<Value, GrantError> {
    let form = Form::parse(body)?;
    let client = form.require("client_id")?;
    let start = request.app.core.start_device(&request.desk(), client, &request.wanted(&form)?).await?;
    let page = format!("{}/oauth2/deviceauth", request.issuer);
    let message = format!("To sign in, open {page} in a web browser and enter the code {}.", start.user_code);
    Ok(json!({
        "device_code": start.device_code,
        "user_code": start.user_code,
        "verification_uri": page,
        "verification_url": page,
        "verification_uri_complete": format!("{page}?user_code={}", start.user_code),
        "expires_in": start.life.as_secs(),
        "interval": start.interval.as_secs(),
        "message": message,
    }))
}

/// The page where somebody enters the code.
pub(super) async fn page(request: &Request<'_>, body: &[u8], answered: &mut Answered) -> Response<Body> {
    let parts = request.arrival.parts;
    if parts.method != Method::POST {
        let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
        return code_page(request, query.get("user_code").unwrap_or_default(), "", None);
    }
    let form = match Form::parse(body) {
        Ok(form) => form,
        Err(refusal) => return code_page(request, "", "", Some(&sentence(&refusal.message))),
    };
    let (code, name) = (form.get("user_code").unwrap_or_default(), form.get("username").unwrap_or_default());
    if !cookie::fits(&parts.headers, request.arrival.origin.scheme, form.get("token")) {
        let text = "The page was open for too long, or the browser keeps no cookies. Please try again.";
        return code_page(request, code, name, Some(text));
    }
    let approve = form.get("decision") == Some("approve");
    let outcome =
        match request.app.core.log_in_person(&request.desk(), name, form.get("password").unwrap_or_default()).await {
            Ok(person) => request.app.core.answer_device(&request.desk(), code, &person, approve).await,
            Err(error) => Err(error),
        };
    if outcome.is_ok() {
        answered.login = true;
        name.clone_into(&mut answered.account);
    }
    match outcome {
        Ok(client) if approve => Page::new(StatusCode::OK, "Signed in")
            .paragraph(&format!("{client} is signed in. You may close this page and go back to it."))
            .respond(),
        Ok(client) => {
            Page::new(StatusCode::OK, "Declined").paragraph(&format!("{client} has not been signed in.")).respond()
        }
        Err(error) => {
            let refusal = request.refusal(error);
            request.note_failure(answered, name, &refusal);
            code_page(request, code, name, Some(&sentence(&refusal.message)))
        }
    }
}

fn code_page(request: &Request<'_>, code: &str, name: &str, error: Option<&str>) -> Response<Body> {
    let scheme = request.arrival.origin.scheme;
    let token = FormToken::of(&request.arrival.parts.headers, scheme);
    let fields = format!(
        "<label for=\"user_code\">Code</label>\n<input id=\"user_code\" name=\"user_code\" value=\"{}\" \
         autocomplete=\"off\" autocapitalize=\"characters\" spellcheck=\"false\" maxlength=\"16\" required>\n{}{}",
        escape(code),
        login_fields(name),
        buttons(("approve", "Sign in"), ("decline", "Decline"))
    );
    let mut response = Page::new(StatusCode::OK, "Sign in to a program")
        .paragraph(
            "Enter the code that the program shows. Go on only if you started it yourself: it will act in your name.",
        )
        .error(error)
        .form(&format!("{PATH}/oauth2/deviceauth"), &[("token", token.as_str())], &fields)
        .respond();
    response.headers_mut().insert(SET_COOKIE, token.header(scheme));
    response
}
