//! The calls by Segment's library for Rust. It takes any JSON, so a date is the text that `time` makes of it.

use segment::message::{Alias, BatchMessage, Group, Identify, Page, Screen, Track, User};
use segment::{Batcher, Client, HttpClient};
use serde_json::{json, Value};
use time::macros::datetime;

fn user() -> User {
    User::UserId { user_id: "u-1".into() }
}

fn track(event: &str, properties: Value) -> Track {
    Track { user: user(), event: event.into(), properties, ..Default::default() }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = std::env::args().nth(1).expect("an address");
    let moment = datetime!(2026-03-04 05:06:07.890123456 +1);
    let rfc_3339 = moment.format(&time::format_description::well_known::Rfc3339)?;
    let messages: Vec<BatchMessage> = vec![
        Identify {
            user: user(),
            traits: json!({"name": "Ada Byron", "email": "ada@tea.example", "plan": "pro", "logins": 42, "born": rfc_3339}),
            ..Default::default()
        }
        .into(),
        track("Plain", json!({})).into(),
        track(
            "Values",
            json!({
                "whole": 42, "real": 42.0, "huge": 9007199254740993u64, "flag": true, "nothing": null, "moment": rfc_3339,
                "nested": {"a": {"b": 1}}, "list": [1, 2.5], "things": [{"sku": "t"}]
            }),
        )
        .into(),
        Track { user: User::AnonymousId { anonymous_id: "a-1".into() }, ..track("Visitor", json!({})) }.into(),
        Track { timestamp: Some(moment), ..track("Dated", json!({})) }.into(),
        Track { integrations: Some(json!({"All": false})), ..track("Opted Out", json!({})) }.into(),
        Group { user: user(), group_id: "g-1".into(), traits: json!({"name": "Tea"}), ..Default::default() }.into(),
        Page {
            user: user(),
            name: "Cart".into(),
            properties: json!({"url": "https://tea.example/cart"}),
            ..Default::default()
        }
        .into(),
        Screen { user: user(), name: "Cart".into(), properties: json!({}), ..Default::default() }.into(),
        Alias { user: user(), previous_id: "a-1".into(), ..Default::default() }.into(),
    ];
    let mut batcher = Batcher::new(None);
    for message in messages {
        batcher.push(message)?;
    }
    HttpClient::new(reqwest::Client::new(), host).send("key".into(), batcher.into_message()).await?;
    Ok(())
}
