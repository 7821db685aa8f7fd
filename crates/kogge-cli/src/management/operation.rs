//! Operations that the server goes on with behind its answer (Azure Resource Manager: "asynchronous operations").

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderName, LOCATION};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::Instant;

use super::failure;
use super::session::{Session, text};
use crate::client::retry::asked_delay;
use crate::error::{Error, Kind, Result};

/// Where the state of an operation is asked for.
const OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
/// How long an operation is waited for.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How long to wait between two questions when the server does not say, and at most.
const DELAY_DEFAULT: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(30);

impl Session {
    /// The result of a request that `response` answers. What goes on is waited for.
    pub(super) async fn settle(&self, asked: &Url, response: Response, action: &str) -> Result<Value> {
        let operation = text(response.headers(), &OPERATION).map(ToOwned::to_owned);
        let location = text(response.headers(), &LOCATION).map(ToOwned::to_owned);
        let (accepted, delay) = (response.status() == StatusCode::ACCEPTED, delay_of(&response));
        match (operation, location) {
            (Some(operation), location) => {
                let first = self.body(response, action).await?;
                let state = self.own_address(asked, &operation, action)?;
                self.wait_for_state(state, delay, action).await?;
                match location.filter(|_| accepted) {
                    Some(location) => {
                        let result = self.own_address(asked, &location, action)?;
                        let response = self.follow(result, action).await?;
                        self.body(response, action).await
                    }
                    None if accepted => Ok(first),
                    // The resource as it has become.
                    None => {
                        let response = self.follow(asked.clone(), action).await?;
                        self.body(response, action).await
                    }
                }
            }
            (None, Some(location)) if accepted => {
                let result = self.own_address(asked, &location, action)?;
                self.wait_for_result(result, delay, action).await
            }
            _ => self.body(response, action).await,
        }
    }

    /// Asks for the state until it is a last one.
    async fn wait_for_state(&self, state: Url, mut delay: Duration, action: &str) -> Result<()> {
        let (meter, begun) = (self.progress.activity(action), Instant::now());
        loop {
            self.pause(delay, begun, action).await?;
            let response = self.follow(state.clone(), action).await?;
            delay = delay_of(&response);
            let answer = self.body(response, action).await?;
            let status = answer["status"].as_str().unwrap_or_default();
            match status.to_ascii_lowercase().as_str() {
                "succeeded" => {
                    meter.finish();
                    return Ok(());
                }
                "failed" | "canceled" => {
                    return Err(failure::of_operation(&answer["error"], action, self.client().host()));
                }
                _ => meter.say(crate::error::printable(status)),
            }
        }
    }

    /// Asks for the result until it is there.
    async fn wait_for_result(&self, result: Url, mut delay: Duration, action: &str) -> Result<Value> {
        let (meter, begun) = (self.progress.activity(action), Instant::now());
        loop {
            self.pause(delay, begun, action).await?;
            let response = self.follow(result.clone(), action).await?;
            if response.status() != StatusCode::ACCEPTED {
                meter.finish();
                return self.body(response, action).await;
            }
            delay = delay_of(&response);
        }
    }

    async fn pause(&self, delay: Duration, begun: Instant, action: &str) -> Result<()> {
        if begun.elapsed() > PATIENCE {
            let message = format!("cannot {action}: {} is still at it", self.client().host());
            return Err(Error::new(Kind::Network, message).hint("it goes on; look later whether it is done"));
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

fn delay_of(response: &Response) -> Duration {
    asked_delay(response.headers(), Timestamp::now()).unwrap_or(DELAY_DEFAULT).min(DELAY_MAX)
}
