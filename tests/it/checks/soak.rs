//! No false alarms: every check of a healthy project passes, whatever it is doing.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio_postgres::NoTls;

use super::Shop;

/// Checks for 20 seconds, or for PGTRICKLE_CI_SOAK seconds.
#[test]
fn a_healthy_project_passes_busy_and_idle() {
    let seconds = env::var("PGTRICKLE_CI_SOAK").map_or(20, |seconds| seconds.parse().unwrap());
    let mut shop = Shop::new();
    shop.database.run("create table quiet (id int primary key); insert into quiet values (1)");
    shop.add("busy", "select id, amount from public.orders", &json!({"schedule": "1s"}));
    shop.add(
        "sums",
        "select amount, count(*) as n from public.busy group by amount",
        &json!({"schedule": "1s"}),
    );
    shop.add("whole", "select id from public.orders", &json!({"schedule": "1s", "refresh_mode": "FULL"}));
    shop.add("resting", "select id from public.quiet", &json!({"schedule": "2s"}));
    shop.add("at_once", "select id from public.orders", &json!({"refresh_mode": "IMMEDIATE"}));
    shop.add("on_demand", "select id from public.resting", &json!({"schedule": "calculated"}));
    shop.add("every_hour", "select id from public.quiet", &json!({"schedule": "0 * * * *"}));
    shop.add("cold", "select id from public.quiet", &json!({"schedule": "2s", "tier": "cold"}));
    shop.database.run("select pgtrickle.alter_stream_table('public.cold', tier => 'cold')");
    if !shop.database.is_emulator() {
        // The emulator only has triggers.
        shop.database.run(
            "create table ledger (id int primary key); alter table ledger replica identity full; insert into ledger values (1)",
        );
        shop.add("booked", "select id from public.ledger", &json!({"schedule": "1s", "cdc_mode": "wal"}));
        shop.database.wait_for("select bool_or(cdc_mode = 'WAL') from pgtrickle.pgt_dependencies");
    }

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| write_until(&shop.database.url(), &over));
        let started = Instant::now();
        let mut looks = 0;
        while looks < 2 || started.elapsed() < Duration::from_secs(seconds) {
            let (ran, report) = shop.check(&[]);
            if ran.code != Some(0) {
                over.store(true, Ordering::Relaxed);
                panic!("after {looks} looks and {:?}: {report:#}\n{}", started.elapsed(), ran.stderr);
            }
            looks += 1;
            std::thread::sleep(Duration::from_millis(300));
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// A few statements every tenth of a second.
fn write_until(url: &str, over: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        for id in 1_000.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let write = format!(
                "insert into orders values ({id}, {id} % 7); update orders set amount = amount + 1 where id % 50 = {id} % 50;
                 delete from orders where id < {id} - 200"
            );
            client.batch_execute(&write).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}
