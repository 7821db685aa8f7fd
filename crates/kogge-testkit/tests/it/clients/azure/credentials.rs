//! Credentials that the CLI hands out: for docker and oras, of the admin user and of repository-scoped tokens.

use serde_json::Value;

use super::{Azure, DOMAIN, REGISTRY, fields, image, text};
use crate::clients::docker::{Daemon, Store, build, file_of};
use crate::clients::image::content;

#[test]
fn acr_login_logs_docker_and_oras_in() {
    let azure = Azure::start_with_registry();
    let sandbox = &azure.sandbox;
    let _daemon = Daemon::start(sandbox, Store::Classic);
    let (built, pushed) = (image("team/docker:v1"), image("team/file:v1"));
    build(sandbox, &built, 70, 10_000);
    sandbox.run_refused(&format!("docker push {built}"));
    azure.console(&azure.owner.name).messages(&format!("acr login -n {REGISTRY}"));
    sandbox.run(&format!("docker push {built}"));
    sandbox.run(&format!("docker image rm --force {built}"));
    sandbox.run(&format!("docker pull {built}"));
    assert!(file_of(sandbox, "", &built) == content(70, 10_000), "the file changed on its way");
    // oras reads what docker keeps.
    azure.push("team/file:v1", "a file");
    sandbox.run(&format!("docker logout {REGISTRY}.{DOMAIN}"));
    sandbox.run_refused(&format!("oras pull -o back {pushed}"));
}

#[test]
fn the_admin_users_passwords_open_the_registry_until_they_are_renewed() {
    let azure = Azure::start_with_registry();
    let show = format!("acr credential show -n {REGISTRY}");
    azure.az_refused(&show);
    azure.az(&format!("acr update -n {REGISTRY} --admin-enabled true"));
    let first = azure.az(&show);
    assert_eq!(first["username"], REGISTRY);
    let (password, second) = (password(&first["passwords"], "password"), password(&first["passwords"], "password2"));
    azure.log_in_to_registry(REGISTRY, &password);
    azure.push("team/app:v1", "by the admin user");
    let renewed = azure.az(&format!("acr credential renew -n {REGISTRY} --password-name password"));
    assert_ne!(self::password(&renewed["passwords"], "password"), password);
    assert_eq!(self::password(&renewed["passwords"], "password2"), second);
    refuse_login(&azure, REGISTRY, &password);
    let repositories = format!("acr repository list -n {REGISTRY} -u {REGISTRY} -p {second}");
    assert_eq!(azure.az(&repositories), serde_json::json!(["team/app"]));
    azure.az(&format!("acr update -n {REGISTRY} --admin-enabled false"));
    refuse_login(&azure, REGISTRY, &second);
}

#[test]
fn scope_maps_bound_what_their_tokens_may_do() {
    let azure = Azure::start_with_registry();
    let az = |group: &str, options: &str| azure.az(&format!("acr {group} -r {REGISTRY} {options}"));
    let system = az("scope-map list", "");
    let names = fields(&system, "name");
    for name in ["_repositories_admin", "_repositories_pull", "_repositories_push"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let actions = "--repository team/app content/read content/write --description team";
    let map = az("scope-map create", &format!("-n teammap {actions}"));
    assert_eq!(map["description"], "team");
    assert_eq!(map["actions"].as_array().map(Vec::len), Some(2));
    let token = az("token create", "-n robot --scope-map teammap");
    assert_eq!(token["status"], "enabled");
    assert_eq!(token["credentials"]["username"], "robot");
    let password1 = password(&token["credentials"]["passwords"], "password1");
    azure.log_in_to_registry("robot", &password1);
    azure.push("team/app:v1", "by the token");
    azure.sandbox.run_refused(&format!("oras push {} file.txt:text/plain", image("other/app:v1")));

    let update =
        "-n teammap --add-repository other/app content/read content/write --remove-repository team/app content/write";
    let map = az("scope-map update", update);
    assert_eq!(map["actions"].as_array().map(Vec::len), Some(3), "{map}");
    azure.push("other/app:v1", "now it may");
    azure.sandbox.write("file.txt", "and this no more");
    azure.sandbox.run_refused(&format!("oras push {} file.txt:text/plain", image("team/app:v2")));
    assert_eq!(text(&az("scope-map show", "-n teammap"), "name"), "teammap");
    az("scope-map delete", "-n teammap -y");
    azure.az_refused(&format!("acr scope-map show -r {REGISTRY} -n teammap"));
    azure.az_refused(&format!("acr scope-map delete -r {REGISTRY} -n _repositories_pull -y"));
}

#[test]
fn a_tokens_two_passwords_are_made_renewed_and_deleted() {
    let azure = Azure::start_with_registry();
    let az = |verb: &str, options: &str| azure.az(&format!("acr token {verb} -r {REGISTRY} -n robot {options}"));
    az("create", "--repository team/app content/read content/write --no-passwords true");
    assert_eq!(az("show", "")["credentials"]["passwords"], serde_json::json!([]));
    let made = az("credential generate", "--password1 --expiration-in-days 30");
    let old = password(&made["passwords"], "password1");
    assert!(made["passwords"][0]["expiry"].is_string(), "{made}");
    azure.log_in_to_registry("robot", &old);
    azure.push("team/app:v1", "by the token");
    let both = az("credential generate", "");
    let [first, second] = ["password1", "password2"].map(|name| password(&both["passwords"], name));
    refuse_login(&azure, "robot", &old);
    azure.log_in_to_registry("robot", &first);
    let past = az("credential generate", "--password1 --expiration 2020-01-01T00:00:00Z");
    refuse_login(&azure, "robot", &password(&past["passwords"], "password1"));
    az("credential delete", "--password1");
    assert_eq!(fields(&az("show", "")["credentials"]["passwords"], "name"), ["password2"]);
    azure.log_in_to_registry("robot", &second);

    assert_eq!(az("update", "--status disabled")["status"], "disabled");
    refuse_login(&azure, "robot", &second);
    let moved = az("update", "--status enabled --scope-map _repositories_pull");
    assert!(text(&moved, "scopeMapId").ends_with("/scopeMaps/_repositories_pull"), "{moved}");
    azure.log_in_to_registry("robot", &second);
    azure.sandbox.run(&format!("oras pull -o back {}", image("team/app:v1")));
    azure.sandbox.run_refused(&format!("oras push {} file.txt:text/plain", image("team/app:v2")));
    assert_eq!(fields(&azure.az(&format!("acr token list -r {REGISTRY}")), "name"), ["robot"]);
    az("delete", "-y");
    azure.az_refused(&format!("acr token show -r {REGISTRY} -n robot"));
    refuse_login(&azure, "robot", &second);
}

/// The value of a password, by its name.
#[track_caller]
fn password(passwords: &Value, name: &str) -> String {
    let found = passwords.as_array().and_then(|list| list.iter().find(|password| password["name"] == name));
    text(found.unwrap_or_else(|| panic!("no {name} in {passwords}")), "value").to_owned()
}

#[track_caller]
fn refuse_login(azure: &Azure, user: &str, password: &str) {
    azure.sandbox.run_refused(&format!("oras login -u {user} -p {password} {REGISTRY}.{DOMAIN}"));
}
