//! One track of the index: where its frames are, how long they last, and what a decoder has to know.

use std::{io, time::Duration};

use bytes::Bytes;
use greffier_media::codec::MediaKind;
use mp4_atom::{
    Audio, Avc1, Avcc, Co64, Dinf, Dops, Dref, DrefEntry, Edts, Elst, ElstEntry, FixedPoint, FourCC, Hdlr, Mdhd, Mdia,
    Minf, Mp4a, Opus, Smhd, Stbl, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Trak, Url,
    Visual, Vmhd, esds,
};

use super::{MOVIE, Spool};
use crate::container::{Format, ParameterSets, Sample, Track, h264, ticks, unsupported};

/// Frames of one track stand together for so long: a player reads ahead by that much anyway.
const CHUNK: Duration = Duration::from_millis(500);

/// What the index will say of a track.
pub(super) struct TrackIndex {
    track: Track,
    scale: u32,
    /// Parameter sets of each sample description of H.264.
    descriptions: Vec<ParameterSets>,
    pub samples: Vec<SampleEntry>,
    /// Where the last one ends, in units of `scale`.
    end: u64,
    /// Offset in the media, samples and description of each.
    chunks: Vec<Chunk>,
    /// Of the chunk that is open.
    pending: Vec<u8>,
    pending_samples: u32,
    pending_since: Duration,
    description: u32,
}

pub(super) struct SampleEntry {
    start: u64,
    size: u32,
    keyframe: bool,
}

struct Chunk {
    offset: u64,
    samples: u32,
    description: u32,
}

impl TrackIndex {
    pub fn new(track: Track) -> io::Result<Self> {
        let scale = match &track.format {
            Format::H264 { .. } => MOVIE,
            Format::Opus { .. } => crate::sound::RATE,
            Format::Aac { rate, .. } => *rate,
            Format::Vp8 { .. } | Format::Vp9 { .. } | Format::Av1 { .. } => {
                return Err(unsupported("MP4 is written with H.264 alone"));
            }
        };
        let descriptions = if let Format::H264 { first, .. } = &track.format {
            vec![first.clone()]
        } else {
            Vec::new()
        };
        Ok(Self {
            track,
            scale,
            descriptions,
            samples: Vec::new(),
            end: 0,
            chunks: Vec::new(),
            pending: Vec::new(),
            pending_samples: 0,
            pending_since: Duration::ZERO,
            description: 1,
        })
    }

    pub fn add(&mut self, sample: Sample, media: &mut Spool) -> io::Result<()> {
        let description = self.describe(&sample);
        let chunk_is_full = sample.at.saturating_sub(self.pending_since) >= CHUNK;
        if description != self.description || chunk_is_full {
            self.close_chunk(media)?;
            self.description = description;
        }
        if self.pending_samples == 0 {
            self.pending_since = sample.at;
        }
        let data = match self.track.format {
            Format::H264 { .. } => h264::with_lengths(&sample.data),
            _ => sample.data,
        };
        self.samples.push(SampleEntry {
            start: ticks(sample.at, self.scale),
            size: u32::try_from(data.len()).map_err(|_| unsupported("a frame of more than 4 GiB"))?,
            keyframe: sample.keyframe,
        });
        self.end = ticks(sample.at + sample.lasts, self.scale);
        self.pending.extend_from_slice(&data);
        self.pending_samples += 1;
        Ok(())
    }

    /// Which description holds for a frame, from 1.
    fn describe(&mut self, sample: &Sample) -> u32 {
        let Some(sets) = Some(&sample.data)
            .filter(|_| sample.keyframe && !self.descriptions.is_empty())
            .and_then(ParameterSets::of)
        else {
            return self.description;
        };
        let known = self
            .descriptions
            .iter()
            .position(|known| *known == sets)
            .unwrap_or_else(|| {
                self.descriptions.push(sets);
                self.descriptions.len() - 1
            });
        u32::try_from(known + 1).unwrap_or(u32::MAX)
    }

    pub fn close_chunk(&mut self, media: &mut Spool) -> io::Result<()> {
        if self.pending_samples > 0 {
            let offset = media.append(&self.pending)?;
            self.chunks.push(Chunk {
                offset,
                samples: self.pending_samples,
                description: self.description,
            });
            self.pending.clear();
            self.pending_samples = 0;
        }
        Ok(())
    }

    pub fn trak(&self, track_id: u32, created: u64, media_at: u64) -> Trak {
        let first = self.samples.first().map_or(0, |sample| sample.start);
        let media_length = self.end - first;
        let edit = self.edit(first, media_length);
        let is_video = self.track.format.kind() == MediaKind::Video;
        let dims = self.track.format.dims();
        let side = |side: Option<u32>| FixedPoint::from(u16::try_from(side.unwrap_or(0)).unwrap_or(u16::MAX));
        Trak {
            tkhd: Tkhd {
                creation_time: created,
                modification_time: created,
                track_id,
                duration: edit.entries.iter().map(|entry| entry.segment_duration).sum(),
                alternate_group: u16::from(!is_video),
                enabled: true,
                in_movie: true,
                volume: FixedPoint::from(u8::from(!is_video)),
                width: side(dims.map(|dims| dims.width)),
                height: side(dims.map(|dims| dims.height)),
                ..Tkhd::default()
            },
            edts: Some(Edts { elst: Some(edit) }),
            mdia: Mdia {
                mdhd: Mdhd {
                    creation_time: created,
                    modification_time: created,
                    timescale: self.scale,
                    duration: media_length,
                    language: "und".into(),
                },
                hdlr: Hdlr {
                    handler: FourCC::new(if is_video { b"vide" } else { b"soun" }),
                    name: self.track.name.clone(),
                },
                minf: Minf {
                    vmhd: is_video.then(Vmhd::default),
                    smhd: (!is_video).then(Smhd::default),
                    dinf: Dinf {
                        dref: Dref {
                            entries: vec![DrefEntry::Url(Url::default())],
                        },
                    },
                    stbl: self.tables(media_at),
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }
    }

    /// Where the track stands in the movie, and how much of its beginning is the encoder's and not the speaker's.
    fn edit(&self, first: u64, media_length: u64) -> Elst {
        let to_movie = |units: u64| {
            let units = (u128::from(units) * u128::from(MOVIE) + u128::from(self.scale) / 2) / u128::from(self.scale);
            u64::try_from(units).unwrap_or(u64::MAX)
        };
        let skipped = match self.track.format {
            Format::Opus { pre_skip, .. } => pre_skip.into(),
            Format::Aac { priming, .. } => priming.into(),
            _ => 0,
        };
        let empty = (first > 0).then(|| ElstEntry {
            segment_duration: to_movie(first),
            media_time: None,
            media_rate: FixedPoint::from(1),
        });
        let whole = ElstEntry {
            segment_duration: to_movie(media_length.saturating_sub(skipped)),
            media_time: Some(skipped),
            media_rate: FixedPoint::from(1),
        };
        Elst {
            entries: empty.into_iter().chain([whole]).collect(),
        }
    }

    fn tables(&self, media_at: u64) -> Stbl {
        let mut lasts = Vec::<SttsEntry>::new();
        let ends = self.samples.iter().skip(1).map(|next| next.start).chain([self.end]);
        for (sample, end) in self.samples.iter().zip(ends) {
            let delta = u32::try_from(end.saturating_sub(sample.start)).unwrap_or(u32::MAX);
            match lasts.last_mut() {
                Some(run) if run.sample_delta == delta => run.sample_count += 1,
                _ => lasts.push(SttsEntry {
                    sample_count: 1,
                    sample_delta: delta,
                }),
            }
        }
        let mut chunks = Vec::<StscEntry>::new();
        for (number, chunk) in (1..).zip(&self.chunks) {
            let (samples_per_chunk, sample_description_index) = (chunk.samples, chunk.description);
            let is_like_last = chunks.last().is_some_and(|last| {
                (last.samples_per_chunk, last.sample_description_index) == (samples_per_chunk, sample_description_index)
            });
            if !is_like_last {
                chunks.push(StscEntry {
                    first_chunk: number,
                    samples_per_chunk,
                    sample_description_index,
                });
            }
        }
        let keyframes = (1..)
            .zip(&self.samples)
            .filter(|(_, sample)| sample.keyframe)
            .map(|(number, _)| number);
        let is_video = self.track.format.kind() == MediaKind::Video;
        Stbl {
            stsd: Stsd {
                codecs: self.sample_descriptions(),
            },
            stts: Stts { entries: lasts },
            stss: is_video.then(|| Stss {
                entries: keyframes.collect(),
            }),
            stsc: Stsc { entries: chunks },
            stsz: Stsz {
                samples: StszSamples::Different {
                    sizes: self.samples.iter().map(|sample| sample.size).collect(),
                },
            },
            co64: Some(Co64 {
                entries: self.chunks.iter().map(|chunk| media_at + chunk.offset).collect(),
            }),
            ..Stbl::default()
        }
    }

    fn sample_descriptions(&self) -> Vec<mp4_atom::Codec> {
        let audio = |channels: u8, rate: u32| Audio {
            data_reference_index: 1,
            channel_count: channels.into(),
            sample_size: 16,
            sample_rate: FixedPoint::from(u16::try_from(rate).unwrap_or(u16::MAX)),
        };
        match &self.track.format {
            Format::Opus { channels, pre_skip } => vec![
                Opus {
                    audio: audio(*channels, crate::sound::RATE),
                    dops: Dops {
                        output_channel_count: *channels,
                        pre_skip: *pre_skip,
                        input_sample_rate: crate::sound::RATE,
                        output_gain: 0,
                        channel_mapping: None,
                    },
                    btrt: None,
                }
                .into(),
            ],
            Format::Aac {
                channels, rate, config, ..
            } => {
                vec![
                    Mp4a {
                        audio: audio(*channels, *rate),
                        esds: aac_description(config),
                        btrt: None,
                        taic: None,
                    }
                    .into(),
                ]
            }
            _ => self.descriptions.iter().map(|sets| self.avc(sets).into()).collect(),
        }
    }

    fn avc(&self, sets: &ParameterSets) -> Avc1 {
        let [avc_profile_indication, profile_compatibility, avc_level_indication] = sets.profile();
        let lists = |sets: &[Bytes]| sets.iter().map(|set| set.to_vec()).collect::<Vec<_>>();
        let dims = self.track.format.dims();
        let side = |side: Option<u32>| u16::try_from(side.unwrap_or(0)).unwrap_or(u16::MAX);
        Avc1 {
            visual: Visual {
                data_reference_index: 1,
                width: side(dims.map(|dims| dims.width)),
                height: side(dims.map(|dims| dims.height)),
                ..Visual::default()
            },
            avcc: Avcc {
                configuration_version: 1,
                avc_profile_indication,
                profile_compatibility,
                avc_level_indication,
                length_size: 4,
                sequence_parameter_sets: lists(&sets.sps),
                picture_parameter_sets: lists(&sets.pps),
                ext: None,
            },
            ..Avc1::default()
        }
    }
}

fn aac_description(config: &Bytes) -> esds::Esds {
    /// MPEG-4 audio, in an audio stream.
    const AAC: u8 = 0x40;
    const AUDIO_STREAM: u8 = 5;
    esds::Esds {
        es_desc: esds::EsDescriptor {
            dec_config: esds::DecoderConfig {
                object_type_indication: AAC,
                stream_type: AUDIO_STREAM,
                dec_specific: Some(esds::DecoderSpecific {
                    raw: config.to_vec(),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        },
    }
}
