//! A claimed spare beside a cold start, and beside a bare pipe that claims.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use bench_host::agents::{plain, turn};
use sdk_runtime::{Agent, Origin, ProcessLauncher, SparePool, SpareSettings};
use tokio::time::sleep;

use super::host::session;
use crate::{
    figures::Sample,
    report::Row,
    scale::Scale,
    steward::AgentEndpoint,
    tools::Tools,
    turns::{
        PROMPT, Place,
        bare::{Bare, PARKED},
    },
};

const RATIO_TARGET: f64 = 0.45;

pub(super) async fn measure(tools: &Tools, scale: &Scale, endpoint: &AgentEndpoint) -> Result<Vec<Row>> {
    let place = Place::new(tools, "spares")?;
    let options = plain(session(&place, endpoint, "s")?);
    let settings = SpareSettings::new(place.folder.join("parking")).with_size(1);
    let pool = SparePool::new(Arc::new(ProcessLauncher), settings);
    ensure!(pool.prepare(&options), "no spare can be that");
    let bare = Bare::new(Place::new(tools, "bare-spares")?, endpoint.clone());
    let (mut claims, mut handed) = (Sample::default(), Sample::default());
    let (mut colds, mut bares) = (Sample::default(), Sample::default());
    for round in 0..scale.claims {
        pool.ready(1).await;
        sleep(PARKED).await;
        let started = Instant::now();
        let mut claimed = pool.claim(options.clone()).await?;
        handed.push_time(started.elapsed());
        turn(&claimed.agent, &mut claimed.events, PROMPT).await?;
        claims.push_time(started.elapsed());
        ensure!(matches!(claimed.origin, Origin::Spare { .. }), "no spare: {:?}", claimed.origin);
        claimed.agent.close().await;
        // The next spare is started meanwhile, and a cold start should not pay for it.
        pool.ready(1).await;
        let started = Instant::now();
        let (agent, mut events) = Agent::start(&ProcessLauncher, options.clone()).await?;
        turn(&agent, &mut events, PROMPT).await?;
        colds.push_time(started.elapsed());
        agent.close().await;
        bares.push_time(bare.claim(round).await?);
    }
    pool.shutdown().await;
    let how = format!(
        "{} each, by turns; asked for an agent to its first result; spares were parked for {PARKED:?} more",
        scale.claims
    );
    let handing = format!("{} claims; until the agent is handed out", scale.claims);
    let row = || Row::new("claim of a warm spare to first result", "ms", claims.median(), &how);
    Ok(vec![
        row()
            .beside("a cold start of the same", colds.median())
            .adding(&claims.minus(&colds))
            .at_ratio(claims.over(&colds).median())
            .ratio_at_most(RATIO_TARGET),
        row()
            .beside("a bare pipe that claims", bares.median())
            .adding(&claims.minus(&bares))
            .at_ratio(claims.over(&bares).median()),
        Row::new("claim of a warm spare", "ms", handed.median(), handing),
    ])
}
