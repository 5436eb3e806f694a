//! What a newcomer reads when the server is ready.

use crate::{
    run::{Model, Running},
    settings::Settings,
};

const DEFAULT_EMAIL: &str = "admin@localhost";
const PASSWORD_PLACE: &str = "YOUR-PASSWORD";

/// The facts the text is made of.
#[derive(Debug)]
pub(crate) struct Welcome<'a> {
    pub(crate) server: &'a Running,
    pub(crate) model: &'a Model,
    pub(crate) settings: &'a Settings,
}

impl Welcome<'_> {
    pub(crate) fn print(&self) {
        let url = &self.server.url;
        println!("\nSteward is ready at {url}   (the API in a browser: {url}/docs)\n");
        println!("  model  {}", self.model());
        println!("  admin  {}", self.admin());
        println!("\nPaste this into another terminal:\n\n{}\n", self.curl());
        println!("Ctrl-C stops the server. `cargo xtask run --demo` plays a session here.\n");
    }

    fn model(&self) -> String {
        match self.model {
            Model::Api => {
                let url = self.settings.get("ANTHROPIC_UPSTREAM_URL");
                format!("the API at {}", url.unwrap_or("https://api.anthropic.com"))
            }
            Model::Offline => {
                "ANTHROPIC_API_KEY is not set, so this is the OFFLINE MODEL: a stand-in that repeats \
                               what it is told. Set the key and start again for real answers."
                    .to_owned()
            }
        }
    }

    fn admin(&self) -> String {
        match &self.server.admin {
            Some((email, password)) => {
                format!("{email}  {password}   (generated; shown this once, only its hash is kept)")
            }
            None => format!(
                "{}   (its password was printed on the first start, or is your ADMIN_PASSWORD)",
                self.email()
            ),
        }
    }

    fn email(&self) -> &str {
        match &self.server.admin {
            Some((email, _)) => email,
            None => self.settings.get("ADMIN_EMAIL").unwrap_or(DEFAULT_EMAIL),
        }
    }

    /// Log in, create a session, ask: for a shell without any JSON tool.
    fn curl(&self) -> String {
        let password = self.server.admin.as_ref().map_or(PASSWORD_PLACE, |(_, password)| password);
        let login = serde_json::json!({"email": self.email(), "password": password});
        let prompt = match self.model {
            Model::Api => "Say hello in one sentence.",
            Model::Offline => "Say hello [[text:Hello from the offline model.]]",
        };
        let query = serde_json::json!({"message": prompt});
        format!(
            "  API={url}/api/v1 JSON='content-type: application/json'\n  \
               field() {{ grep -o \"\\\"$1\\\":\\\"[^\\\"]*\\\"\" | head -1 | cut -d'\"' -f4; }}\n  \
               TOKEN=$(curl -s $API/auth/login -H \"$JSON\" -d '{login}' | field access_token)\n  \
               ID=$(curl -s $API/sessions -H \"Authorization: Bearer $TOKEN\" -H \"$JSON\" -d '{{}}' | field id)\n  \
               curl -s $API/sessions/$ID/query -H \"Authorization: Bearer $TOKEN\" -H \"$JSON\" -d '{query}'",
            url = self.server.url
        )
    }
}
