//! The deployment as a cloud of the CLI's, and logins of service principals.

use super::{Azure, DOMAIN, Principal, fields, text};

#[test]
fn the_address_alone_makes_a_cloud() {
    let azure = Azure::start(&[]);
    let cloud = azure.az("cloud show");
    let endpoints = &cloud["endpoints"];
    assert_eq!(endpoints["resourceManager"], format!("https://{DOMAIN}").as_str());
    assert_eq!(endpoints["activeDirectory"], format!("https://{DOMAIN}/adfs").as_str());
    assert_eq!(cloud["suffixes"]["acrLoginServerEndpoint"], format!(".{DOMAIN}").as_str());
    let accounts = azure.az("account list");
    assert_eq!(fields(&accounts, "state"), ["Enabled"]);
    assert_eq!(accounts[0]["user"]["name"], azure.owner.app_id.as_str());
    assert_eq!(accounts[0]["user"]["type"], "servicePrincipal");
    assert_eq!(accounts[0]["tenantId"], azure.owner.tenant.as_str());
    assert_eq!(fields(&azure.az("group list"), "name"), ["default"]);
    assert_eq!(text(&azure.az("group show -n default"), "name"), "default");
    assert_eq!(azure.az("provider show -n Microsoft.ContainerRegistry")["registrationState"], "Registered");
    assert!(!fields(&azure.az("account list-locations"), "name").is_empty());
}

#[test]
fn a_service_principal_logs_in_by_secret_and_by_certificate() {
    let azure = Azure::start(&[]);
    let token = azure.az("account get-access-token");
    assert_eq!(text(&token, "accessToken").split('.').count(), 3);
    assert_eq!(token["tenant"], azure.owner.tenant.as_str());
    let app_id = &azure.owner.app_id;
    azure.az(&format!("logout --username {app_id}"));
    azure.az_refused("account show");

    let stranger = azure.console("stranger");
    stranger.add_cloud();
    let Principal { tenant, .. } = &azure.owner;
    let login = format!("login --service-principal -u {app_id} --tenant {tenant}");
    stranger.refused(&format!("{login} -p wrong-secret"));
    stranger.refused("acr list");

    let own = certificate(&azure, "own");
    let other = certificate(&azure, "other");
    let public = azure.sandbox.path("own.crt").display().to_string();
    azure.sandbox.kogge.run(&["admin", "sp", "reset", "owner", "--append", "--certificate", &public]);
    stranger.refused(&format!("{login} --certificate {other}"));
    let accounts = stranger.az(&format!("{login} --certificate {own}"));
    assert_eq!(accounts[0]["user"]["name"], app_id.as_str());
    assert_eq!(fields(&stranger.az("acr list"), "name"), ["default"]);
    // With the certificate itself in the assertion.
    stranger.az("account clear");
    stranger.az(&format!("{login} --certificate {own} --use-cert-sn-issuer"));
}

/// Makes a key and a certificate: `<name>.pem` holds both, `<name>.crt` the certificate. Returns the path of the first.
fn certificate(azure: &Azure, name: &str) -> String {
    let files = [azure.sandbox.path(&format!("{name}.pem")), azure.sandbox.path(&format!("{name}.crt"))];
    let files = files.map(|file| file.display().to_string());
    super::sdk::run(&azure.sandbox, "certificate.py", &[&files[0], &files[1]]);
    let [both, _] = files;
    both
}
