//! Who may do what: the admin user, tokens and their scope maps, roles.

use kogge_testkit::TestRegistry;
use kogge_testkit::content::{ImageBuilder, Seed};
use serde_json::json;

use super::{Cli, lines, managing, picked};
use crate::cli::repository;

/// Logs in to the default registry as somebody else, from a home of its own.
fn log_in_as(registry: &TestRegistry, user: &str, password: &str, code: i32) -> Cli {
    let (cli, host) = (Cli::new(), registry.addr().to_string());
    cli.run_with(&["login", &host, "-u", user, "--password-stdin"], Some(password)).expect_code(code);
    cli
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_user_logs_in_with_the_passwords_that_are_shown() {
    let registry = TestRegistry::start().await;
    let cli = managing(&registry);
    cli.run("registry update default --admin-enabled").expect_code(0);
    let shown = cli.run("credential show --output json").expect_code(0).json();
    assert_eq!(shown["username"], "default");
    let password = shown["passwords"][1]["value"].as_str().expect("a password");
    assert_eq!(shown["passwords"][1]["name"], "password2");
    assert!(cli.run("credential show").stdout.contains(password), "the table shows it too");
    let user = log_in_as(&registry, "default", password, 0);
    user.run(&format!("repo list {}", registry.addr())).expect_code(0);

    let renewed = picked(&cli, "credential renew --name password2", "passwords[?name=='password2'].value | [0]");
    log_in_as(&registry, "default", password, 4);
    log_in_as(&registry, "default", renewed.as_str().expect("a password"), 0);
    cli.run("credential renew").expect_code(2);
    cli.run("registry update default --admin-enabled false").expect_code(0);
    let refused = cli.run("credential show").expect_code(1);
    assert!(refused.stderr.contains("hint: code "), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_do_what_their_scope_maps_say() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (managing(&registry), registry.addr().to_string());
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    for name in ["team/app", "other"] {
        repository(&registry, name).push_tagged(&image, "v1").await;
    }
    cli.run("scope-map create readers --add team/*=content/read --description pull").expect_code(0);
    cli.run("scope-map create readers --add team/*=content/read").expect_code(1);
    let made = cli.run("token create robot --scope-map readers --expires-in 30d --output json").expect_code(0);
    assert!(made.stderr.contains("shown only now"), "{}", made.stderr);
    let made = made.json();
    let password = made["passwords"][0]["value"].as_str().expect("a password").to_owned();
    assert!(made["passwords"][1]["expiry"].is_string(), "{made}");
    let robot = log_in_as(&registry, "robot", &password, 0);
    robot.run(&format!("pull {host}/team/app:v1 one.tar")).expect_code(0);
    robot.run(&format!("pull {host}/other:v1 two.tar")).expect_code(4);

    cli.run("scope-map update readers --add other=content/read,metadata/read --remove team/*=content/read")
        .expect_code(0);
    let actions = "repositories/other/content/read\nrepositories/other/metadata/read\n";
    assert_eq!(cli.run("scope-map show readers --query properties.actions --output tsv").stdout, actions);
    robot.run(&format!("pull {host}/other:v1 two.tar")).expect_code(0);
    robot.run(&format!("pull {host}/team/app:v1 three.tar")).expect_code(4);
    cli.run("scope-map update readers --remove x=content/read").expect_code(3);
    cli.run("scope-map update readers").expect_code(2);
    cli.run("scope-map update readers --add x=push").expect_code(2);
    let listed = cli.run("scope-map list").expect_code(0);
    assert!(listed.stdout.contains("_repositories_admin") && listed.stdout.contains("readers"), "{}", listed.stdout);

    cli.run("token update robot --status disabled").expect_code(0);
    robot.run(&format!("pull {host}/other:v1 four.tar")).expect_code(4);
    cli.run("token update robot --status enabled --scope-map _repositories_pull").expect_code(0);
    let second = picked(&cli, "token password robot --name password1", "passwords[].value");
    assert_eq!(second.as_array().map(Vec::len), Some(1));
    log_in_as(&registry, "robot", &password, 4);
    log_in_as(&registry, "robot", second[0].as_str().expect("a password"), 0);
    cli.run("scope-map delete readers --yes").expect_code(0);
    cli.run("token delete robot").expect_code(2);
    cli.run("token delete robot --yes").expect_code(0);
    cli.run("token show robot").expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_be_made_with_a_scope_map_of_its_own() {
    let registry = TestRegistry::start().await;
    let cli = managing(&registry);
    let line =
        "token create robot --repository a/b=content/read,content/write --repository c=content/read --no-passwords";
    cli.run(line).expect_code(0);
    let listed = cli.run("token list --output tsv").expect_code(0);
    assert!(listed.stdout.starts_with("robot\tenabled\trobot-scope-map\t\t"), "{}", listed.stdout);
    let expected = ["repositories/a/b/content/read", "repositories/a/b/content/write", "repositories/c/content/read"];
    assert_eq!(picked(&cli, "scope-map show robot-scope-map", "properties.actions"), json!(expected));
    cli.run("token create other").expect_code(2);
    cli.run("token create other --scope-map none").expect_code(1);
    // A name that no token can have leaves no scope map behind.
    cli.run("token create ci --repository team/app=content/read").expect_code(2);
    let maps = picked(&cli, "scope-map list", "[?type=='UserDefined'].name");
    assert!(!maps.to_string().contains("ci-scope-map"), "{maps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_and_taken_away() {
    let registry = TestRegistry::start().await;
    let (cli, host) = (managing(&registry), registry.addr().to_string());
    let image = ImageBuilder::new(&mut Seed::new(1)).build();
    for name in ["team/app", "other"] {
        repository(&registry, name).push_tagged(&image, "v1").await;
    }
    let person = registry.core().create_user("jo", "a long password", &[]).await.expect("made").to_string();
    let jo = log_in_as(&registry, "jo", "a long password", 0);
    jo.run(&format!("pull {host}/team/app:v1 one.tar")).expect_code(4);
    let given = cli.run("role assign --role acrpull --to jo --scope default").expect_code(0);
    assert!(given.stdout.contains("has the role acrpull at default"), "{}", given.stdout);
    jo.run(&format!("pull {host}/team/app:v1 one.tar")).expect_code(0);
    let listed = cli.run("role assignments --scope default --to jo").expect_code(0);
    assert_eq!(lines(&listed).len(), 2, "{}", listed.stdout);
    let cells: Vec<&str> = lines(&listed)[1].split_whitespace().take(3).collect();
    assert_eq!(cells, ["AcrPull", "jo", "User"], "{}", listed.stdout);

    cli.run("registry update default --role-mode rbac-abac").expect_code(0);
    jo.run(&format!("pull {host}/team/app:v1 two.tar")).expect_code(4);
    let reader =
        ["role", "assign", "--role", "Container Registry Repository Reader", "--to", &person, "--scope", "default"];
    cli.run_with(&[&reader[..], &["--repositories", "team/*", "--repositories", "x"]].concat(), None).expect_code(0);
    jo.run(&format!("pull {host}/team/app:v1 two.tar")).expect_code(0);
    jo.run(&format!("pull {host}/other:v1 three.tar")).expect_code(4);
    let listed = cli.run("role assignments --scope default").expect_code(0);
    assert!(listed.stdout.contains("team/*, x"), "{}", listed.stdout);

    let gone =
        ["role", "unassign", "--role", "Container Registry Repository Reader", "--to", &person, "--scope", "default"];
    cli.run_with(&gone, None).expect_code(2);
    let gone = [&gone[..], &["--yes"]].concat();
    cli.run_with(&gone, None).expect_code(0);
    jo.run(&format!("pull {host}/team/app:v1 four.tar")).expect_code(4);
    cli.run_with(&gone, None).expect_code(3);
    let id = picked(&cli, &format!("role assignments --to {person}"), "[0].id");
    cli.run(&format!("role unassign --id {} --yes", id.as_str().expect("an id"))).expect_code(0);
    assert_eq!(picked(&cli, &format!("role assignments --to {person}"), "length(@)"), json!(0));

    assert_eq!(picked(&cli, "role list --name AcrPush", "[].properties.roleName"), json!(["AcrPush"]));
    cli.run(&format!("role assign --role Nonesuch --to {person} --scope default")).expect_code(3);
    cli.run("role assign --role AcrPull --to nobody --scope default").expect_code(3);
    cli.run(&format!("role assign --role AcrPull --to {person} --scope nonesuch")).expect_code(3);
    let program = registry.core().create_service_principal("robot", None, &[]).await.expect("made");
    let (id, object_id) = (program.app_id, program.object_id.to_string());
    for who in [id.to_string(), "robot".to_owned(), object_id.clone()] {
        cli.run(&format!("role assign --role AcrPull --to {who} --scope default")).expect_code(0);
        let query = "[].[properties.principalId, properties.principalType]";
        let held = picked(&cli, &format!("role assignments --to {who}"), query);
        assert_eq!(held, json!([[object_id, "ServicePrincipal"]]), "{who}");
        cli.run(&format!("role unassign --role AcrPull --to {who} --scope default --yes")).expect_code(0);
    }
    cli.run("role unassign --role AcrPull --yes").expect_code(2);
    cli.run("role unassign --yes").expect_code(2);
}
