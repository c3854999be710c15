//! The service over HTTP.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use mycelia_actors::prelude::*;

use crate::order::{Order, Refused};
use crate::orders::{Orders, Place};

/// Seconds until a client should try again.
const LATER: &str = "1";

/// `POST /orders` with `{"id": 7, "cents": 300}`: 201 when the order is booked, also when it was booked before; 409 if its id has
/// another price; and 503 with `Retry-After`, if the order has to be sent again.
pub fn router(orders: Address<Orders>) -> Router {
    Router::new().route("/orders", post(place)).with_state(orders)
}

async fn place(State(orders): State<Address<Orders>>, Json(order): Json<Order>) -> Response {
    match orders.ask_with(|reply| Place { order, reply }).await {
        Ok(Ok(())) => (StatusCode::CREATED, Json(order)).into_response(),
        Ok(Err(refused @ Refused::OtherPrice(_))) => {
            (StatusCode::CONFLICT, refused.to_string()).into_response()
        }
        Ok(Err(refused)) => try_again(refused.to_string()),
        Err(error) => try_again(error.to_string()),
    }
}

fn try_again(text: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, LATER)], text).into_response()
}
