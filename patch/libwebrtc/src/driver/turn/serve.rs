//! A relay, as its media thread serves it: what comes in, what is due, what goes out.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use nix::sys::epoll::EpollFlags;
use rtc::sansio::Protocol as _;
use rtc::shared::error::Error as StunError;
use rtc_turn::client::Event;

use super::session::{Link, Permission, Session};
use super::{Outcome, Phase, Relay, SET_UP, UNREACHABLE, Watch};
use crate::driver::interfaces;
use crate::driver::udp::{ArrivalClock, ReceiveBuffers};

impl Relay {
    /// Reads what has come; `take` is given what the other side sent: when, to which relayed address, whence, and what.
    pub fn on_ready(
        &mut self,
        ready: EpollFlags,
        buffers: &mut ReceiveBuffers,
        clock: ArrivalClock,
        batches: usize,
        mut take: impl FnMut(Instant, SocketAddr, SocketAddr, BytesMut),
    ) {
        let Phase::Running(session) = &mut self.phase else {
            return;
        };
        let Session { link, server, .. } = &mut **session;
        // What rtc-turn answers to each message decides how to go on, so messages are collected first.
        let mut messages = Vec::new();
        let mut fault = None;
        match link {
            Link::Udp(udp) => {
                for _ in 0..batches {
                    match udp.receive(buffers, clock, |datagram| {
                        if datagram.from == *server {
                            messages.push((datagram.arrival, datagram.bytes));
                        }
                    }) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => {
                            fault = Some(error.to_string());
                            break;
                        }
                    }
                }
            }
            Link::Stream(stream) => {
                if ready.contains(EpollFlags::EPOLLOUT) {
                    stream.flush();
                }
                stream.receive(|message| messages.push((clock.now, message)));
                fault.clone_from(&stream.failed);
            }
        }
        let tries = self.tries;
        for (arrival, message) in messages {
            let Phase::Running(session) = &mut self.phase else {
                return;
            };
            if tries != self.tries {
                return;
            }
            if let Err((code, reason)) = session.read(arrival, message) {
                return self.refuse(clock.now, code, &reason);
            }
            self.on_events(arrival, &mut take);
        }
        if let Some(reason) = fault
            && tries == self.tries
        {
            self.refuse(clock.now, UNREACHABLE, &reason);
        }
    }

    fn on_events(&mut self, now: Instant, take: &mut impl FnMut(Instant, SocketAddr, SocketAddr, BytesMut)) {
        loop {
            let Phase::Running(session) = &mut self.phase else {
                return;
            };
            let Some(event) = session.client.poll_event() else {
                return;
            };
            match event {
                Event::DataIndicationOrChannelData(_, peer, bytes) => {
                    if let Some((relayed, _)) = session.relayed {
                        take(now, relayed, peer, bytes);
                    }
                }
                Event::AllocateResponse(_, relayed) => {
                    let line = interfaces::relay_candidate(self.rank, self.url.transport as u32, relayed);
                    log::info!("TURN server {} relays {relayed} for {}", self.url, session.local);
                    session.relayed = Some((relayed, line.clone()));
                    session.fresh = now;
                    let url = self.url.to_string();
                    self.outcomes.push_back(Outcome::Found { line, url });
                }
                Event::AllocateError(_, error) => {
                    let (code, reason) = session
                        .refusal
                        .take()
                        .unwrap_or_else(|| (UNREACHABLE, error.to_string()));
                    return self.refuse(now, code, &reason);
                }
                Event::TransactionTimeout(transaction) => {
                    if session.relayed.is_none() {
                        return self.refuse(now, UNREACHABLE, "it does not answer");
                    }
                    log::debug!("TURN server {}: a request was not answered", self.url);
                    session.forget(transaction);
                }
                Event::CreatePermissionResponse(_, peer) => session.permitted(peer),
                Event::CreatePermissionError(transaction, error) => {
                    let refused = session.forget(transaction);
                    if error != StunError::ErrTryAgain
                        && let Some(peer) = refused
                    {
                        // It may be an address that nobody needs, so this is no end.
                        log::warn!("TURN server {} relays nothing to {peer}: {error}", self.url);
                        session.permissions.insert(peer, Permission::Refused);
                    }
                }
                _ => {}
            }
        }
    }

    pub fn poll_timeout(&mut self) -> Option<Instant> {
        match &mut self.phase {
            Phase::Idle | Phase::Failed => None,
            Phase::Resolving(until) => Some(*until),
            Phase::Running(session) => {
                let next = session.client.poll_timeout();
                if session.relayed.is_some() {
                    return next;
                }
                let until = session.begun + SET_UP;
                Some(next.map_or(until, |next| next.min(until)))
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Idle | Phase::Failed => {}
            Phase::Resolving(until) => {
                if *until <= now {
                    self.round += 1;
                    self.refuse(now, UNREACHABLE, "its name is not resolved in time");
                }
            }
            Phase::Running(session) => {
                if session.relayed.is_none() && session.begun + SET_UP <= now {
                    return self.refuse(now, UNREACHABLE, "it does not answer in time");
                }
                if session.client.poll_timeout().is_some_and(|at| at <= now) {
                    if let Err(error) = session.client.handle_timeout(now) {
                        log::debug!("TURN server {}: {error}", self.url);
                    }
                    self.on_events(now, &mut |_, _, _, _| {});
                }
            }
        }
    }

    /// Puts on the wire what rtc-turn has to say.
    pub fn flush(&mut self, now: Instant) {
        let Phase::Running(session) = &mut self.phase else {
            return;
        };
        session.flush();
        let Link::Stream(stream) = &session.link else { return };
        if let Some(reason) = stream.failed.clone() {
            self.refuse(now, UNREACHABLE, &reason);
            return;
        }
        let writing = stream.wants_write();
        if writing != session.writing {
            let Watch { thread, peer, link } = &self.watch;
            if let Err(error) = thread.rewatch(*peer, *link, stream.fd(), writing) {
                log::debug!("TURN server {}: {error}", self.url);
            }
            session.writing = writing;
        }
    }
}
