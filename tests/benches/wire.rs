//! Heads and the join's body: from bytes and to bytes.

mod quick;

use std::hint::black_box;
use std::num::NonZeroU32;

use criterion::Criterion;
use raet_core::wire::{
    BodyKind, CoatKind, Flags, FootKind, Frame, Head, HeadKind, JoinBody, MAX_PACKET, PacketKind,
    SIGNATURE, TransactionKind, emit_head,
};

fn main() {
    let mut criterion = quick::criterion();
    heads(&mut criterion);
    joins(&mut criterion);
    criterion.final_summary();
}

/// A segment of a long message: every field that a packet of this implementation ever has.
fn head(kind: HeadKind) -> Head {
    let mut head = Head::new(PacketKind::Message, TransactionKind::Message);
    head.kind = kind;
    head.flags = Flags::SEGMENTED;
    head.body = BodyKind::Raw;
    head.coat = CoatKind::Nacl;
    head.foot = FootKind::Nacl;
    head.source = 0x1234_5678;
    head.destination = 0x9abc_def0;
    head.session = 0x66aa_0001;
    head.transaction_id = 0x1234;
    head.order = 1;
    head.segment = 1000;
    head.segments = 1258;
    head.coat_len = 1 << 20;
    head
}

fn heads(criterion: &mut Criterion) {
    for (name, kind) in [("native", HeadKind::Native), ("json", HeadKind::Json)] {
        let head = head(kind);
        let mut packet = [0; MAX_PACKET];
        let head_len = emit_head(&head, 100, &mut packet).expect("room");
        let packet = &packet[..head_len + 100 + SIGNATURE];
        let mut group = criterion.benchmark_group("head");
        group.bench_function(format!("parse/{name}"), |b| {
            b.iter(|| Frame::parse(black_box(packet)));
        });
        let mut out = [0; MAX_PACKET];
        group.bench_function(format!("emit/{name}"), |b| {
            b.iter(|| emit_head(black_box(&head), 100, black_box(&mut out)));
        });
        group.finish();
    }
}

fn joins(criterion: &mut Criterion) {
    let body = JoinBody {
        name: "estate.example".try_into().expect("short"),
        mode: 0,
        kind: 0,
        uid: NonZeroU32::new(77),
        verify: [0xab; 32],
        public: [0xcd; 32],
        role: "minion".try_into().expect("short"),
    };
    for (name, kind) in [("json", BodyKind::Json), ("msgpack", BodyKind::Msgpack)] {
        let mut out = [0; MAX_PACKET];
        let len = body.emit(kind, &mut out).expect("room");
        let bytes = out[..len].to_vec();
        let mut group = criterion.benchmark_group("join");
        group.bench_function(format!("parse/{name}"), |b| {
            b.iter(|| JoinBody::parse(kind, black_box(&bytes), true));
        });
        group.bench_function(format!("emit/{name}"), |b| {
            b.iter(|| black_box(&body).emit(kind, black_box(&mut out)));
        });
        group.finish();
    }
}
