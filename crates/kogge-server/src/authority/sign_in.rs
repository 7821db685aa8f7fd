//! The authorization end point (RFC 6749, 3.1): a browser comes from a program, somebody signs in, and the browser goes
//! back with a code.

use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, Method, Response, StatusCode};
use kogge_core::identity::code::CodeRequest;
use kogge_core::identity::refusal::{GrantError, Refusal, Word};
use kogge_core::identity::settings::PublicClient;

use super::cookie::{self, FormToken};
use super::form::Form;
use super::page::{Page, buttons, login_fields};
use super::{PATH, Request};
use crate::body::Body;
use crate::served::Answered;

/// How the browser carries the answer back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Query,
    /// As a form that somebody sends off (OAuth 2.0 Form Post Response Mode): not in the address bar, not in histories.
    FormPost,
}

/// A request whose answer may be sent back to the program.
struct Asked {
    client: PublicClient,
    redirect_uri: String,
    mode: Mode,
    state: Option<String>,
}

pub(super) async fn respond(request: &Request<'_>, body: &[u8], answered: &mut Answered) -> Response<Body> {
    let query = request.arrival.parts.uri.query().unwrap_or_default();
    let (form, asked) = match Form::parse(query.as_bytes()).and_then(|form| {
        let asked = read(request, &form)?;
        Ok((form, asked))
    }) {
        Ok(parsed) => parsed,
        // Nobody is sent to an address that is not known to be the program's.
        Err(refusal) => return refused(&refusal),
    };
    let code_request = match check(request, &form, &asked) {
        Ok(code_request) => code_request,
        Err(refusal) => {
            return send_back(&asked, &[("error", refusal.word.as_str()), ("error_description", &refusal.message)]);
        }
    };
    if request.arrival.parts.method != Method::POST {
        return sign_in_page(request, &asked, query, form.get("login_hint").unwrap_or_default(), None);
    }
    let fields = match Form::parse(body) {
        Ok(fields) => fields,
        Err(refusal) => return refused(&refusal),
    };
    let name = fields.get("username").unwrap_or_default();
    if !cookie::fits(&request.arrival.parts.headers, request.arrival.origin.scheme, fields.get("token")) {
        let text = "The page was open for too long, or the browser keeps no cookies. Please try again.";
        return sign_in_page(request, &asked, query, name, Some(text));
    }
    if fields.get("decision") == Some("cancel") {
        let description = ("error_description", "the login was cancelled");
        return send_back(&asked, &[("error", Word::AccessDenied.as_str()), description]);
    }
    match sign_in(request, &code_request, name, fields.get("password").unwrap_or_default()).await {
        Ok(code) => {
            answered.login = true;
            name.clone_into(&mut answered.account);
            send_back(&asked, &[("code", &code)])
        }
        Err(error) => {
            let refusal = request.refusal(error);
            request.note_failure(answered, name, &refusal);
            sign_in_page(request, &asked, query, name, Some(&sentence(&refusal.message)))
        }
    }
}

async fn sign_in(
    request: &Request<'_>,
    code_request: &CodeRequest,
    name: &str,
    password: &str,
) -> Result<String, GrantError> {
    let person = request.app.core.log_in_person(&request.desk(), name, password).await?;
    request.app.core.issue_code(code_request, &person).await
}

/// Who asks, and where the browser goes back to.
fn read(request: &Request<'_>, form: &Form) -> Result<Asked, Refusal> {
    let redirect_uri = form.require("redirect_uri")?;
    let client =
        request.app.core.client_of(form.require("client_id")?, redirect_uri).map_err(|error| request.refusal(error))?;
    let mode = match form.get("response_mode") {
        None | Some("query") => Mode::Query,
        Some("form_post") => Mode::FormPost,
        Some(_) => return Err(Refusal::new(Word::InvalidRequest, "response_mode is query or form_post")),
    };
    let state = form.get("state").map(str::to_owned);
    Ok(Asked { client, redirect_uri: redirect_uri.to_owned(), mode, state })
}

fn check(request: &Request<'_>, form: &Form, asked: &Asked) -> Result<CodeRequest, Refusal> {
    if form.require("response_type")? != "code" {
        return Err(Refusal::new(Word::UnsupportedResponseType, "response_type is code"));
    }
    if form.get("code_challenge_method") != Some("S256") {
        return Err(Refusal::new(Word::InvalidRequest, "a code_challenge with code_challenge_method=S256 is required"));
    }
    if form.get("prompt") == Some("none") {
        return Err(Refusal::new(Word::LoginRequired, "every login here asks for the password"));
    }
    let code_request = CodeRequest {
        client: asked.client.id.to_string(),
        redirect_uri: asked.redirect_uri.clone(),
        challenge: form.require("code_challenge")?.to_owned(),
        nonce: form.get("nonce").map(str::to_owned),
        wanted: request.wanted(form)?,
    };
    request.app.core.check_code_request(&code_request)?;
    Ok(code_request)
}

fn sign_in_page(request: &Request<'_>, asked: &Asked, query: &str, name: &str, error: Option<&str>) -> Response<Body> {
    let scheme = request.arrival.origin.scheme;
    let token = FormToken::of(&request.arrival.parts.headers, scheme);
    let fields = login_fields(name) + &buttons(("sign-in", "Sign in"), ("cancel", "Cancel"));
    let mut response = Page::new(StatusCode::OK, "Sign in")
        .paragraph(&format!("to {} at {}", asked.client.name, request.arrival.origin.host))
        .error(error)
        .leading_to(&asked.redirect_uri)
        .form(&format!("{PATH}/oauth2/authorize?{query}"), &[("token", token.as_str())], &fields)
        .respond();
    response.headers_mut().insert(SET_COOKIE, token.header(scheme));
    response
}

/// A request that cannot be answered to the program, told to the person instead.
fn refused(refusal: &Refusal) -> Response<Body> {
    Page::new(StatusCode::BAD_REQUEST, "This login cannot go on")
        .error(Some(&sentence(&refusal.message)))
        .paragraph("Please go back to the program that brought you here, and tell whoever runs it.")
        .respond()
}

fn send_back(asked: &Asked, answer: &[(&str, &str)]) -> Response<Body> {
    let answer: Vec<(&str, &str)> =
        answer.iter().copied().chain(asked.state.as_deref().map(|state| ("state", state))).collect();
    match asked.mode {
        Mode::FormPost => {
            let button = "<button class=\"main\">Continue</button>\n";
            Page::new(StatusCode::OK, "Signed in")
                .paragraph(&format!("Please continue to {}.", asked.client.name))
                .leading_to(&asked.redirect_uri)
                .form(&asked.redirect_uri, &answer, button)
                .respond()
        }
        Mode::Query => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(answer);
            let joint = if asked.redirect_uri.contains('?') { '&' } else { '?' };
            let target = format!("{}{joint}{}", asked.redirect_uri, query.finish());
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::SEE_OTHER;
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            if let Ok(target) = HeaderValue::from_str(&target) {
                headers.insert(LOCATION, target);
            }
            response
        }
    }
}

/// A message as people read it.
pub(super) fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
