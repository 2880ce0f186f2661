//! The baseline: what one would write in an afternoon instead of a gateway.
//!
//! A task per connection calls tokio-modbus in a loop, turns registers into `f64` and hands each to rumqttc.
//! Absent on purpose: checks of replies, reconnecting, report by exception of values that never repeat,
//! quality, time stamps, the silence between RTU frames. It runs until it is killed.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_modbus::client::{Context, Reader, rtu, tcp};
use tokio_modbus::slave::Slave;

use crate::Outcome;
use crate::plant::{Plant, SITE, Wire};

/// Messages between the loops and rumqttc's own task, and how many it sends in one go. Measured: larger
/// figures change nothing.
const QUEUE: usize = 1000;
/// Between two attempts of rumqttc to reach a broker that is still starting.
const RETRY: Duration = Duration::from_micros(500);

/// Polls and publishes on tokio's usual runtime until the process is killed.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (plant, broker) = Plant::from_arguments(arguments)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async move {
        let client = broker.map(connect);
        let mut loops = tokio::task::JoinSet::new();
        for index in 0..plant.connections {
            loops.spawn(poll(plant.clone(), index, client.clone()));
        }
        match loops.join_next().await {
            Some(ended) => ended?,
            None => Ok(()),
        }
    })
}

fn connect(broker: SocketAddr) -> AsyncClient {
    let mut options = MqttOptions::new("raw-loop", (broker.ip().to_string(), broker.port()));
    options.set_keep_alive(60).set_max_request_batch(QUEUE).set_read_batch_size(QUEUE);
    let (client, mut events) = AsyncClient::builder(options).capacity(QUEUE).build();
    tokio::spawn(async move {
        loop {
            if events.poll().await.is_err() {
                tokio::time::sleep(RETRY).await;
            }
        }
    });
    client
}

async fn open(wire: &Wire) -> Outcome<Context> {
    match wire {
        Wire::Tcp(address) => {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(tcp::attach_slave(stream, Slave(1)))
        }
        Wire::Rtu(port, baud) => {
            let stream = tokio_serial::SerialStream::open(&tokio_serial::new(port, *baud))?;
            Ok(rtu::attach_slave(stream, Slave(1)))
        }
    }
}

async fn poll(plant: Plant, connection: u16, client: Option<AsyncClient>) -> Outcome {
    let mut context = open(&plant.wire).await?;
    let qos = if plant.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let topics: Vec<Vec<String>> = plant
        .blocks()
        .map(|first| (first..first + plant.registers).map(|r| format!("{SITE}/d{connection}/p{r}")).collect())
        .collect();
    let mut last: Vec<Vec<f64>> = topics.iter().map(|block| vec![f64::NAN; block.len()]).collect();
    let mut ticks = interval(plant.period.max(Duration::from_nanos(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sum = 0.0;
    loop {
        if !plant.period.is_zero() {
            ticks.tick().await;
        }
        for (block, first) in plant.blocks().enumerate() {
            let words = context.read_input_registers(first, plant.registers).await??;
            for (point, word) in words.into_iter().enumerate() {
                let value = f64::from(word);
                if value == last[block][point] {
                    continue;
                }
                last[block][point] = value;
                match &client {
                    Some(client) => {
                        let topic = topics[block][point].as_str();
                        client.publish(topic, value.to_string(), PublishOptions::new(qos)).await?;
                    }
                    None => sum += value,
                }
            }
        }
        std::hint::black_box((sum, Instant::now()));
    }
}
