use super::*;
use crate::flow::{Source, read_all};
use crate::read::bytes::MemoryStore;

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = id.to_vec();
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    if body.len() % 2 == 1 {
        out.push(0);
    }
    out
}

fn fmt(tag: u16, channels: u16, rate: u32, container: u16, bits: u16) -> Vec<u8> {
    let align = channels * container;
    let mut out = Vec::new();
    out.extend(tag.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(align)).to_le_bytes());
    out.extend(align.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out
}

fn extensible(tag: u16, channels: u16, rate: u32, container: u16, valid: u16) -> Vec<u8> {
    let mut out = fmt(0xFFFE, channels, rate, container, 8 * container);
    out.extend(22_u16.to_le_bytes());
    out.extend(valid.to_le_bytes());
    out.extend(3_u32.to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    out
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut out = b"RIFF".to_vec();
    out.extend((body.len() as u32 + 4).to_le_bytes());
    out.extend(b"WAVE");
    out.extend(body);
    out
}

fn open_with(bytes: &[u8], options: &OpenOptions) -> Result<FileSource> {
    open(Box::new(MemoryStore::new(bytes)), "x", options)
}

/// Samples, format and codes of warnings.
type Found = (Vec<Vec<f64>>, String, Vec<&'static str>);

fn read(bytes: &[u8]) -> Result<Found> {
    let mut source = open_with(bytes, &OpenOptions::default())?;
    let recording = source.recording().clone();
    let channels = recording.main_stream().channels.len();
    let codes = recording.warnings.iter().map(|w| w.code).collect();
    Ok((read_all(&mut source, channels, 7)?, recording.format, codes))
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).map(|_| ()).unwrap_err().to_string()
}

fn i16s(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn every_coding_is_a_share_of_full_scale() {
    let half = |container: u16| match container {
        1 => vec![192_u8, 64],
        2 => i16s(&[16_384, -16_384]),
        3 => vec![0, 0, 0x40, 0, 0, 0xC0],
        _ => [0x4000_0000_i32, -0x4000_0000].iter().flat_map(|v| v.to_le_bytes()).collect(),
    };
    for container in 1..=4 {
        for head in [fmt(1, 2, 48_000, container, 8 * container), extensible(1, 2, 48_000, container, 8 * container)] {
            let (rows, format, codes) =
                read(&riff(&[chunk(b"fmt ", &head), chunk(b"data", &half(container))])).unwrap();
            assert_eq!(rows, [[0.5], [-0.5]], "{container}");
            assert_eq!((format, codes), (format!("WAV, {}-bit PCM, header by hound", 8 * container), vec![]));
        }
    }
    let f4: Vec<u8> = [0.25_f32, -3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let f8: Vec<u8> = [0.1_f64, -3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let (rows, format, _) = read(&riff(&[chunk(b"fmt ", &fmt(3, 2, 44_100, 4, 32)), chunk(b"data", &f4)])).unwrap();
    assert_eq!((rows, format.as_str()), (vec![vec![0.25], vec![-3.0]], "WAV, 32-bit float, header by hound"));
    // 64-bit floats, which hound refuses
    let (rows, format, _) = read(&riff(&[chunk(b"fmt ", &fmt(3, 2, 44_100, 8, 64)), chunk(b"data", &f8)])).unwrap();
    assert_eq!((rows, format.as_str()), (vec![vec![0.1], vec![-3.0]], "WAV, 64-bit float"));
}

#[test]
fn full_scale_is_told_and_never_guessed() {
    let file = riff(&[chunk(b"fmt ", &fmt(1, 1, 1000, 2, 16)), chunk(b"data", &i16s(&[16_384, -32_768]))]);
    let with = |told: Option<&str>| {
        let options = OpenOptions { full_scale: told.map(str::to_owned), ..OpenOptions::default() };
        let mut source = open_with(&file, &options)?;
        let channel = source.recording().main_stream().channels[0].clone();
        assert_eq!(channel.kind, ChannelKind::Stim);
        Ok((read_all(&mut source, 1, 5)?[0].clone(), channel.unit.to_string(), channel.range.unwrap()[0]))
    };
    assert_eq!(with(None).unwrap(), (vec![0.5, -1.0], "fs".to_owned(), -1.0));
    assert_eq!(with(Some("2mA")).unwrap(), (vec![1.0, -2.0], "mA".to_owned(), -2.0));
    assert_eq!(with(Some("500 uA")).unwrap(), (vec![0.25, -0.5], "mA".to_owned(), -0.5));
    assert_eq!(with(Some("1V")).unwrap(), (vec![5e5, -1e6], "uV".to_owned(), -1e6));
    for bad in ["2", "mA", "-2mA", "0mA", "2mX", "nanmA", "1e400mA", ""] {
        let error: Result<_> = with(Some(bad));
        assert_eq!(error.unwrap_err().kind(), crate::ErrorKind::Usage, "{bad}");
    }
}

#[test]
fn hard_case_12_odd_list_chunks_with_and_without_their_pad_byte() {
    let data = chunk(b"data", &i16s(&[1, 2, 3]));
    let head = chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16));
    let list = chunk(b"LIST", b"INFOICMT\x03\0\0\0abc");
    let mut unpadded = list.clone();
    unpadded.pop();
    for odd in [list, unpadded] {
        let (rows, format, codes) = read(&riff(&[head.clone(), odd, data.clone()])).unwrap();
        assert_eq!(rows[0], [1.0, 2.0, 3.0].map(|x| x / 32_768.0));
        assert_eq!((format.as_str(), codes), ("WAV, 16-bit PCM", vec![]), "hound cannot read this");
    }
}

#[test]
fn hard_case_12_24_bits_in_4_bytes_lie_where_they_lie() {
    let at_top = [0, 0x34, 0x12, 0x40, 0, 0, 0, 0xC0];
    let at_bottom = [0x34, 0x12, 0x40, 0, 0, 0, 0xC0, 0xFF];
    let want = [f64::from(0x40_1234) / 8_388_608.0, -0.5];
    for head in [fmt(1, 1, 8000, 4, 24), extensible(1, 1, 8000, 4, 24)] {
        for (bytes, warned) in [(at_top, false), (at_bottom, true)] {
            let (rows, _, codes) = read(&riff(&[chunk(b"fmt ", &head), chunk(b"data", &bytes)])).unwrap();
            assert_eq!((rows[0].as_slice(), codes.contains(&"W_WAV_JUSTIFIED")), (&want[..], warned));
        }
        let both = [0x34, 0x12, 0x40, 0x55];
        assert!(refused(&riff(&[chunk(b"fmt ", &head), chunk(b"data", &both)])).contains("E_WAV_JUSTIFIED"));
    }
}

#[test]
fn hard_case_12_rf64_takes_its_size_from_ds64() {
    let data = i16s(&[1, -2]);
    let mut sizes = [0_u8; 28];
    sizes[8] = data.len() as u8;
    for magic in [b"RF64", b"BW64"] {
        let mut file = magic.to_vec();
        file.extend([0xFF; 4]);
        file.extend(b"WAVE");
        file.extend(chunk(b"ds64", &sizes));
        file.extend(chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16)));
        file.extend(b"data\xFF\xFF\xFF\xFF");
        file.extend(&data);
        // what follows is no sample
        file.extend(chunk(b"bext", &[7; 20]));
        let (rows, format, codes) = read(&file).unwrap();
        assert_eq!(rows[0], [1.0, -2.0].map(|x| x / 32_768.0));
        assert!(format.starts_with(std::str::from_utf8(magic).unwrap()) && codes.is_empty(), "{format} {codes:?}");
    }
}

#[test]
fn hard_case_12_sizes_that_lie_are_told() {
    let with = |size: u32, bytes: &[u8]| {
        let mut file = riff(&[chunk(b"fmt ", &fmt(1, 2, 8000, 2, 16))]);
        file.extend(b"data");
        file.extend(size.to_le_bytes());
        file.extend(bytes);
        file
    };
    let samples = i16s(&[1, 2, 3, 4, 5, 6]);
    for (size, bytes, code, frames) in [
        (UNKNOWN, &samples[..], "W_WAV_STREAMED", 3),
        (0, &samples[..], "W_WAV_SIZE_ZERO", 3),
        (400, &samples[..], "W_WAV_TRUNCATED", 3),
        (12, &samples[..11], "W_WAV_TRUNCATED", 2),
        (10, &samples[..], "W_WAV_PARTIAL_FRAME", 2),
    ] {
        let (rows, format, codes) = read(&with(size, bytes)).unwrap();
        assert!(codes.contains(&code) && rows[0].len() == frames && !format.contains("hound"), "{code}: {codes:?}");
    }
    assert!(refused(&with(0, &[])).contains("no sample"), "empty data");
    assert!(refused(&with(0, &chunk(b"LIST", b"INFO"))).contains("no sample"), "empty data before another chunk");
    assert!(refused(&with(3, &samples)).contains("no sample"));
}

#[test]
fn hard_case_12_what_cannot_be_is_refused() {
    let data = chunk(b"data", &[0; 24]);
    let file = |head: &[u8]| riff(&[chunk(b"fmt ", head), data.clone()]);
    for (head, says) in [
        (fmt(1, 0, 8000, 2, 16), "0 channels"),
        (fmt(1, 1, 0, 2, 16), "0 Hz"),
        (fmt(1, 1, 8000, 2, 0), "0 bits"),
        (fmt(1, 1, 8000, 2, 24), "frames of 2 bytes"),
        (fmt(3, 1, 8000, 2, 16), "floats"),
        (fmt(7, 1, 8000, 1, 8), "mu-law"),
        (fmt(0x55, 1, 8000, 1, 8), "MPEG"),
        (vec![0; 14], "too short"),
    ] {
        let found = refused(&file(&head));
        assert!(found.contains(says), "{found}");
    }
    let mut guid = extensible(1, 1, 8000, 2, 16);
    guid[30] = 9;
    assert!(refused(&file(&guid)).contains("not known"));
    let (one, two) = (chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16)), chunk(b"fmt ", &fmt(1, 2, 8000, 2, 16)));
    assert!(refused(&riff(&[one.clone(), two, data.clone()])).contains("E_WAV_TWO_FMT"));
    assert!(
        refused(&riff(std::slice::from_ref(&data))).contains("no fmt")
            && refused(&riff(std::slice::from_ref(&one))).contains("no data")
    );
    assert_eq!(read(&riff(&[data.clone(), one.clone()])).unwrap().2, ["W_WAV_ORDER"]);
    assert_eq!(read(&riff(&[one, data.clone(), data])).unwrap().2, ["W_WAV_TWO_DATA"]);
}

#[test]
fn cue_points_are_events_named_by_their_labels() {
    let mut cue = 2_u32.to_le_bytes().to_vec();
    for (id, sample) in [(7_u32, 3_u32), (9, 1)] {
        for word in [id, 0, u32::from_le_bytes(*b"data"), 0, 0, sample] {
            cue.extend(word.to_le_bytes());
        }
    }
    let mut list = b"adtl".to_vec();
    list.extend(chunk(b"labl", b"\x07\0\0\0ramp\x1b\0"));
    let file = riff(&[
        chunk(b"fmt ", &fmt(1, 1, 8000, 2, 16)),
        chunk(b"data", &i16s(&[0; 5])),
        chunk(b"cue ", &cue),
        chunk(b"LIST", &list),
    ]);
    let source = open_with(&file, &OpenOptions::default()).unwrap();
    let recording = source.recording();
    let found: Vec<_> = recording.events.iter().map(|e| (e.tick.0, recording.event_name(e.name))).collect();
    assert_eq!(found, [(1, "cue 9"), (3, "ramp␛")]);
}
