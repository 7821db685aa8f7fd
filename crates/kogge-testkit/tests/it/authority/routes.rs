//! Every end point of the authority with every method, by somebody who shows nothing and by somebody who lies.

use http::Method;
use kogge_server::route::Endpoint;

use super::*;

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// What an end point answers to whoever shows nothing: to reading and to posting. 405 is no such method.
fn answers(endpoint: Endpoint) -> (u16, u16) {
    match endpoint {
        // What everybody may know.
        Endpoint::Discovery | Endpoint::Keys => (200, 405),
        // A form that says nothing asks for nothing.
        Endpoint::Token | Endpoint::DeviceCode => (405, 400),
        Endpoint::UserInfo => (401, 401),
        // A page that says what is wrong with the request.
        Endpoint::Authorize => (400, 400),
        // Pages for people, who sign in on them.
        Endpoint::DevicePage | Endpoint::Logout => (200, 200),
    }
}

#[tokio::test]
async fn who_shows_nothing_or_lies_gets_nothing() {
    let registry = TestRegistry::start().await;
    let sp = service_principal(&registry, "ci", &[role("Owner", "/")]).await;
    let pull = access_token(&registry.anonymous(), &sp, REGISTRY).await;
    for (endpoint, method) in Endpoint::ALL.into_iter().flat_map(|endpoint| METHODS.map(|method| (endpoint, method))) {
        let (read, posted) = answers(endpoint);
        let status = match method {
            Method::GET | Method::HEAD => read,
            Method::POST => posted,
            _ => 405,
        };
        // Nothing, nonsense, a token for another API, and a cookie: no login is kept in any.
        let client = registry.anonymous();
        for (name, value) in [
            ("x-nothing", "x".to_owned()),
            ("authorization", "Bearer a.b.c".to_owned()),
            ("authorization", format!("Bearer {pull}")),
            ("cookie", "kogge-form=00000000000000000000000000000000".to_owned()),
        ] {
            let request = client.request(method.clone(), endpoint.path()).header(name, &value);
            let reply = request.send().await;
            assert_eq!(reply.status, status, "{method} {} with {name}: {}", endpoint.path(), reply.text());
            for told in ["access_token\":", "refresh_token\":", "code="] {
                assert!(!reply.text().contains(told), "{method} {}: {}", endpoint.path(), reply.text());
            }
            assert_eq!(reply.header("location"), None, "{method} {}", endpoint.path());
        }
    }
}
