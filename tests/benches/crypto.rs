//! The primitives: what no engine can do without.

mod quick;

use std::hint::black_box;

use criterion::Criterion;
use raet_core::crypto::{Crypto, NaclSuite};

fn main() {
    let mut criterion = quick::criterion();
    signatures(&mut criterion);
    keys(&mut criterion);
    boxes(&mut criterion);
    criterion.final_summary();
}

fn signatures(criterion: &mut Criterion) {
    let suite = NaclSuite::new(&[1; 32]);
    let sign_key = suite.sign_key(&[2; 32]);
    let bytes = suite.sign_key_public(&sign_key);
    let verify_key = suite.verify_key(&bytes).expect("a sound key");
    let mut group = criterion.benchmark_group("signature");
    // A done, a message of 100 bytes, a full packet.
    for len in [150, 300, 1024] {
        let packet = vec![3; len];
        let signature = suite.sign(&sign_key, &packet);
        assert!(suite.verify(&verify_key, &packet, &signature));
        group.bench_function(format!("sign/{len}"), |b| {
            b.iter(|| suite.sign(&sign_key, black_box(&packet)));
        });
        group.bench_function(format!("verify/{len}"), |b| {
            b.iter(|| suite.verify(&verify_key, black_box(&packet), &signature));
        });
    }
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let suite = NaclSuite::new(&[1; 32]);
    let secret = suite.secret_key(&[4; 32]);
    let public = suite.public_key(&suite.secret_key(&[5; 32]));
    let verify = suite.sign_key_public(&suite.sign_key(&[2; 32]));
    let mut group = criterion.benchmark_group("key");
    group.bench_function("box", |b| {
        b.iter(|| suite.box_key(&secret, black_box(&public)).is_ok());
    });
    group.bench_function("public", |b| b.iter(|| suite.public_key(&secret)));
    group.bench_function("verify", |b| {
        b.iter(|| suite.verify_key(black_box(&verify)).is_ok());
    });
    group.finish();
}

fn boxes(criterion: &mut Criterion) {
    let suite = NaclSuite::new(&[1; 32]);
    let secret = suite.secret_key(&[4; 32]);
    let public = suite.public_key(&secret);
    let key = suite.box_key(&secret, &public).expect("a sound key");
    let nonce = [6; 24];
    let mut group = criterion.benchmark_group("box");
    for len in [100, 1000, 1 << 20] {
        let mut body = vec![7; len];
        group.bench_function(format!("seal/{len}"), |b| {
            b.iter(|| suite.seal(&key, &nonce, black_box(&mut body)));
        });
        let tag = suite.seal(&key, &nonce, &mut body);
        let sealed = body.clone();
        // What opens once does not open again, so each time it is sealed anew: a copy.
        group.bench_function(format!("open/{len}"), |b| {
            b.iter(|| {
                body.copy_from_slice(&sealed);
                assert!(suite.open(&key, &nonce, black_box(&mut body), &tag));
            });
        });
    }
    group.finish();
}
