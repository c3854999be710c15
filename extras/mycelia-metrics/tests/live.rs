//! The stream of events, and how it ends. (First rung; in paused time.)

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, Response};
use futures_core::Stream;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use mycelia_actors::prelude::*;
use mycelia_metrics::{Metrics, Snapshot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Takes ten seconds for each message.
struct Slow;
impl Subsystem for Slow {}
impl Handler<()> for Slow {
    type Reply = ();
    async fn handle(&mut self, (): (), _: &mut Context<Self>) {
        sleep(10 * SECOND).await;
    }
}

async fn live(metrics: &Metrics) -> BodyDataStream {
    let router = TowerToHyperService::new(metrics.router());
    let request = Request::get("/api/live").body(Body::empty()).unwrap();
    let answer: Result<Response<Body>, Infallible> = router.call(request).await;
    answer.unwrap().into_body().into_data_stream()
}

/// The rest of an answer: when each snapshot was made, and when it came.
async fn rest(mut stream: BodyDataStream) -> Vec<(f64, Instant)> {
    let mut snapshots = Vec::new();
    while let Some(chunk) = poll_fn(|task| pin!(&mut stream).poll_next(task)).await {
        let text = String::from_utf8(chunk.unwrap().to_vec()).unwrap();
        if let Some(json) = text.strip_prefix("data: ") {
            let snapshot: Snapshot = serde_json::from_str(json).unwrap();
            snapshots.push((snapshot.uptime, Instant::now()));
        }
    }
    snapshots
}

#[tokio::test(start_paused = true)]
async fn one_answer_follows_another_and_no_snapshot_is_lost() {
    let runtime = Runtime::new();
    let metrics = Metrics::of(&runtime).unwrap();
    let began = Instant::now();
    let mut uptimes: Vec<f64> = Vec::new();
    for _ in 0..20 {
        let answer = Instant::now();
        let snapshots = rest(live(&metrics).await).await;
        assert_eq!(answer.elapsed(), 3 * SECOND);
        assert!(snapshots[0].1 == answer, "something at once");
        // It may begin with the last of the one before.
        uptimes.pop_if(|last| *last == snapshots[0].0);
        uptimes.extend(snapshots.iter().map(|(uptime, _)| uptime));
        // An `EventSource` takes a moment.
        sleep(SECOND / 20).await;
    }
    let gaps: Vec<_> = uptimes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (gap - 1.0).abs() < 0.01), "{gaps:?}");
    assert_eq!(uptimes.len() as u64, (began.elapsed() - SECOND / 20).as_secs() + 1);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_shutdown_begins_and_with_the_runtime_and_when_it_is_told_to() {
    type End = fn(&Runtime, &Metrics);
    let ends: [End; 3] = [
        |runtime, _| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.shutdown().await });
        },
        |_, _| {},
        |_, metrics| metrics.end_streams(),
    ];
    for (which, end) in ends.into_iter().enumerate() {
        let runtime = Runtime::new();
        let metrics = Metrics::of(&runtime).unwrap();
        let slow = runtime.spawn("slow", Slow).unwrap();
        slow.tell(()).unwrap();
        let streams = [live(&metrics).await, live(&metrics).await];
        let streams = streams.map(|stream| tokio::spawn(rest(stream)));
        sleep(SECOND / 2).await;
        let began = Instant::now();
        end(&runtime, &metrics);
        let runtime = Some(runtime).filter(|_| which != 1);
        for stream in streams {
            assert_eq!(stream.await.unwrap().len(), 1);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(slow.stats().in_hand == 1, which != 1, "a shutdown has only begun");
        // Later ones begin all the same: how a drain gets on is of interest.
        assert_eq!(rest(live(&metrics).await).await.len(), if which == 2 { 4 } else { 1 });
        drop(runtime);
    }
}

/// A dashboard that is open does not hold up the end of the server that it is nested in.
#[tokio::test(start_paused = true)]
async fn a_server_that_ends_gracefully_does_so_while_a_dashboard_is_open() {
    for (ends, shuts_down, longest) in
        [(false, false, 3 * SECOND), (true, false, SECOND), (false, true, SECOND)]
    {
        let runtime = Runtime::new();
        let metrics = Metrics::of(&runtime).unwrap();
        let router = axum::Router::new().nest("/internal", metrics.router());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let ended = async move { drop(ended.await) };
        let server = axum::serve(listener, router).with_graceful_shutdown(ended);
        let server = tokio::spawn(server.into_future());
        let mut tab = TcpStream::connect(address).await.unwrap();
        tab.write_all(b"GET /internal/api/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        tab.read_exact(&mut [0; 100]).await.unwrap();
        let began = Instant::now();
        end.send(()).unwrap();
        if ends {
            metrics.end_streams();
        }
        if shuts_down {
            runtime.shutdown().await.unwrap();
        }
        timeout(60 * SECOND, server).await.expect("it ends").unwrap().unwrap();
        assert!(began.elapsed() <= longest, "{:?}", began.elapsed());
    }
}
