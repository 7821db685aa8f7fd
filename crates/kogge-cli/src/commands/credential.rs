//! `credential`: a registry's admin user.

use reqwest::Method;
use serde_json::{Value, json};

use crate::args::credential::{AdminPassword, CredentialArgs, CredentialVerb};
use crate::context::Context;
use crate::error::Result;
use crate::management::session::{Call, Session};
use crate::output::{self, shape};

pub(crate) async fn run(args: CredentialArgs, ctx: &Context) -> Result<()> {
    let session = Session::open(&args.server, ctx).await?;
    let credentials = match args.verb {
        CredentialVerb::Show(args) => {
            let path = format!("{}/listCredentials", session.registry_of(&args).await?);
            let action = format!("show the admin user of {}", args.registry);
            session.send(Call::new(Method::POST, &path, &action)).await?
        }
        CredentialVerb::Renew { registry, name } => {
            let path = format!("{}/regenerateCredential", session.registry_of(&registry).await?);
            let action = format!("renew the admin user of {}", registry.registry);
            let name = match name {
                AdminPassword::Password => "password",
                AdminPassword::Password2 => "password2",
            };
            session.send(Call::new(Method::POST, &path, &action).body(json!({ "name": name }))).await?
        }
    };
    ctx.output.print(|| passwords(&credentials), &credentials)
}

/// A table of passwords, with their user.
pub(super) fn passwords(credentials: &Value) -> String {
    let user = shape::cell(&credentials["username"]);
    let all = credentials["passwords"].as_array().map_or(&[][..], Vec::as_slice);
    let row = |password: &Value| {
        [
            user.clone(),
            shape::cell(&password["name"]),
            shape::cell(&password["value"]),
            shape::cell(&password["expiry"]),
        ]
    };
    if all.iter().all(|password| password["expiry"].is_null()) {
        let rows = all.iter().map(|password| {
            let [user, name, value, _] = row(password);
            [user, name, value]
        });
        return output::table(["USER NAME", "NAME", "PASSWORD"], rows);
    }
    output::table(["USER NAME", "NAME", "PASSWORD", "GOOD UNTIL"], all.iter().map(row))
}
