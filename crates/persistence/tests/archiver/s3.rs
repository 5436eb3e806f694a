//! What goes wrong between the archiver and a real S3 server, and what only S3 can do.

use super::{
    failures::{drop_when, until},
    round_trips::whole,
    world::{World, random_file, reference, s3_options},
};
use domain::{
    ArchivePlace, Compression,
    ports::{ArchiveError, ArchiveStore},
};
use persistence::S3Options;
use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Three parts and a bit.
const LARGE_BYTES: usize = 25 << 20;

#[tokio::test]
async fn an_upload_that_is_cut_in_the_middle_is_taken_back() {
    let proxy = Proxy::start("partNumber=3").await;
    let world = World::on(ArchivePlace::S3, Some(proxy.options()));
    let folder = world.new_folder("work");
    random_file(&folder.join("large"), LARGE_BYTES);
    let job = world.job(&folder, Compression::None);
    let error = world.archiver.store(&job).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Unavailable(_)), "{error:?}");
    let seen = proxy.seen();
    let upload_id =
        |line: &String| line.split("uploadId=").nth(1)?.split([' ', '&']).next().map(str::to_owned);
    let begun = seen.iter().find(|line| line.starts_with("PUT") && line.contains("partNumber=2")).unwrap();
    let taken_back =
        seen.iter().find(|line| line.starts_with("DELETE") && line.contains("uploadId=")).unwrap();
    assert_eq!(upload_id(taken_back), upload_id(begun));
    let attempts = seen.iter().filter(|line| line.contains("partNumber=3")).count();
    assert!(attempts > 1, "it is tried again first: {seen:#?}");
    assert!(!seen.iter().any(|line| line.starts_with("POST") && line.contains("uploadId=")), "{seen:#?}");

    // The server itself has nothing, and takes it when nobody is in the way.
    let direct = World::s3();
    assert!(direct.archiver.find(job.place, &job.key).await.unwrap().is_none());
    direct.archiver.store(&job).await.unwrap();
    direct.archiver.delete(job.place, &job.key).await.unwrap();
}

#[tokio::test]
async fn what_was_sent_of_a_file_that_shrinks_is_taken_back() {
    let proxy = Proxy::start("nothing that anybody says").await;
    let world = World::on(ArchivePlace::S3, Some(proxy.options()));
    let folder = world.new_folder("work");
    let file = fs::File::create(folder.join("large")).unwrap();
    // More than can be on its way at once.
    file.set_len(128 << 20).unwrap();
    let job = world.job(&folder, Compression::None);
    let has_part = || proxy.seen().iter().any(|line| line.contains("partNumber=1"));
    let mut storing = world.archiver.store(&job);
    tokio::select! {
        biased;
        () = until(has_part) => {}
        _ = &mut storing => unreachable!("it was stored at once"),
    }
    file.set_len(10).unwrap();
    let error = storing.await.unwrap_err();
    assert!(matches!(error, ArchiveError::Files { .. }), "{error:?}");
    let seen = proxy.seen();
    assert!(seen.iter().any(|line| line.starts_with("DELETE") && line.contains("uploadId=")), "{seen:#?}");
    assert!(World::s3().archiver.find(job.place, &job.key).await.unwrap().is_none());
}

#[tokio::test]
async fn an_archive_without_its_manifest_is_none() {
    let proxy = Proxy::start("PUT /archives/test-manifest/a.tar.zst.manifest.json").await;
    let world = World::on(ArchivePlace::S3, Some(proxy.options()));
    let folder = world.new_folder("work");
    fs::write(folder.join("a"), "a").unwrap();
    let mut job = world.job(&folder, Compression::Zstd);
    job.key = "test-manifest/a.tar.zst".into();
    let error = world.archiver.store(&job).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Unavailable(_)), "{error:?}");
    assert!(proxy.seen().iter().any(|line| line.starts_with("PUT /archives/test-manifest/a.tar.zst ")));
    assert!(World::s3().archiver.find(job.place, &job.key).await.unwrap().is_none());
}

#[tokio::test]
async fn a_download_that_is_cut_leaves_nothing_behind() {
    let world = World::s3();
    let folder = world.new_folder("work");
    random_file(&folder.join("large"), LARGE_BYTES);
    let job = world.job(&folder, Compression::None);
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());
    // The third piece of the object.
    let proxy = Proxy::start("bytes=16777216-").await;
    let cut = World::on(ArchivePlace::S3, Some(proxy.options()));
    let error = cut.archiver.restore(&archive, "workspace", cut.target().into()).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Unavailable(_)), "{error:?}");
    assert!(!cut.target().exists() && cut.beside_target().is_empty());
    world.archiver.restore(&archive, "workspace", world.target().into()).await.unwrap();
    world.archiver.delete(job.place, &job.key).await.unwrap();
}

#[tokio::test]
async fn who_stops_waiting_has_nothing_under_the_key() {
    let proxy = Proxy::start("nothing that anybody says").await;
    let world = World::on(ArchivePlace::S3, Some(proxy.options()));
    let folder = world.new_folder("work");
    random_file(&folder.join("large"), LARGE_BYTES);
    let job = world.job(&folder, Compression::None);
    let has_part = || proxy.seen().iter().any(|line| line.contains("partNumber=1"));
    drop_when(world.archiver.store(&job), has_part).await;
    assert!(world.archiver.find(job.place, &job.key).await.unwrap().is_none());
    world.archiver.store(&job).await.unwrap();
    world.archiver.delete(job.place, &job.key).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_down_or_refuses_says_so() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = S3Options { endpoint: Some(format!("http://{address}")), ..s3_options() };
    let world = World::on(ArchivePlace::S3, Some(down));
    let folder = world.new_folder("work");
    fs::write(folder.join("a"), "a").unwrap();
    let job = world.job(&folder, Compression::Gzip);
    for error in [
        world.archiver.store(&job).await.unwrap_err(),
        world.archiver.check().await.unwrap_err(),
        world.archiver.find(job.place, &job.key).await.unwrap_err(),
        world.archiver.delete(job.place, &job.key).await.unwrap_err(),
    ] {
        assert!(matches!(error, ArchiveError::Unavailable(_)), "{error:?}");
    }

    let stranger = S3Options { secret_access_key: Some("guessed".to_owned().into()), ..s3_options() };
    assert!(!format!("{stranger:?}").contains("guessed"));
    let world = World::on(ArchivePlace::S3, Some(stranger));
    world.archiver.store(&job).await.unwrap_err();
    world.archiver.check().await.unwrap_err();
    let error = World::local().archiver.find(ArchivePlace::S3, "a").await.unwrap_err();
    assert!(matches!(error, ArchiveError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn the_environment_gives_what_is_not_set() {
    let S3Options { bucket, region, endpoint, access_key_id, secret_access_key, .. } = s3_options();
    let options = S3Options {
        bucket,
        region,
        endpoint,
        environment: vec![
            ("AWS_ACCESS_KEY_ID".into(), access_key_id.unwrap().into()),
            ("AWS_SECRET_ACCESS_KEY".into(), secret_access_key.unwrap()),
            ("AWS_BUCKET".into(), "another".to_owned().into()),
            ("AWS_PAGER".into(), "less".to_owned().into()),
        ],
        ..S3Options::default()
    };
    let world = World::on(ArchivePlace::S3, Some(options));
    assert_eq!(world.archiver.check().await.unwrap(), "s3://archives");
    assert_eq!(world.archiver.place(), ArchivePlace::S3);
    assert_eq!(World::local().archiver.place(), ArchivePlace::Local);
}

#[tokio::test]
async fn anybody_may_download_from_a_signed_address() {
    let world = World::s3();
    let folder = world.new_folder("work");
    random_file(&folder.join("random"), 100_000);
    let job = world.job(&folder, Compression::Zip);
    let archive = reference(&job, world.archiver.store(&job).await.unwrap());
    let url = world.archiver.presign(&archive, Duration::from_secs(60)).await.unwrap().unwrap();
    let (status, body) = get(&url).await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body == whole(world.archiver.open(&archive, None).await.unwrap()).await);
    let (status, _) = get(&url.replace("X-Amz-Signature=", "X-Amz-Signature=0")).await;
    assert_ne!(status, "HTTP/1.1 200 OK");
    world.archiver.delete(job.place, &job.key).await.unwrap();

    let local = World::local();
    let job = local.job(&folder, Compression::Zip);
    let archive = reference(&job, local.archiver.store(&job).await.unwrap());
    assert_eq!(local.archiver.presign(&archive, Duration::from_secs(60)).await.unwrap(), None);
}

/// Without any header that says who is asking.
async fn get(url: &str) -> (String, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut socket = TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head.lines().next().unwrap().to_owned(), answer[end + 4..].to_vec())
}

/// Stands between the archiver and the server, writes down the first line of each request, and cuts the connection
/// when a request says a certain thing.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

impl Proxy {
    async fn start(cut_at: &'static str) -> Self {
        let upstream = s3_options().endpoint.unwrap().strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (written, mut connections) = (Arc::clone(&seen), JoinSet::new());
        connections.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&upstream).await.unwrap();
                open.spawn(pass_on(client, server, cut_at, Arc::clone(&written)));
            }
        });
        Self { address, seen, _connections: connections }
    }

    fn options(&self) -> S3Options {
        S3Options { endpoint: Some(format!("http://{}", self.address)), ..s3_options() }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, cut_at: &str, seen: Arc<Mutex<Vec<String>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            let said = &buffer[..read];
            // The client waits for each answer, so a request begins where something is read.
            let head = String::from_utf8_lossy(said);
            let line = head.lines().next().unwrap_or_default();
            if line.ends_with(" HTTP/1.1") {
                seen.lock().unwrap().push(line.to_owned());
                let head = head.split("\r\n\r\n").next().unwrap_or_default();
                if head.contains(cut_at) {
                    return;
                }
            }
            if to_server.write_all(said).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}
