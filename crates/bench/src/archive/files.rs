//! Files as they are in working directories, the same each time: three quarters words, one quarter random.

use std::{fs, io::Write, path::Path};

use anyhow::Result;

pub(super) const MIB: u64 = 1 << 20;
const WORDS: u64 = 4_000;
const FILES_IN_FOLDER: u64 = 200;
/// A large file has both kinds, by turns.
const PIECE_BYTES: u64 = MIB;

/// Xorshift: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Makes the folder with so many files, which have so many bytes together.
pub(super) fn write_files(folder: &Path, count: u64, bytes: u64) -> Result<()> {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let words: Vec<Vec<u8>> = (0..WORDS).map(|_| word(&mut numbers)).collect();
    for index in 0..count {
        let parent = folder.join(format!("{:03}", index / FILES_IN_FOLDER));
        if index % FILES_IN_FOLDER == 0 {
            fs::create_dir_all(&parent)?;
        }
        let mut file = fs::File::create(parent.join(format!("file-{index}.txt")))?;
        let (mut left, mut piece) = (bytes / count, index);
        while left > 0 {
            let size = left.min(PIECE_BYTES);
            file.write_all(&content(&mut numbers, &words, size, piece % 4 == 3))?;
            left -= size;
            piece += 1;
        }
    }
    Ok(())
}

fn word(numbers: &mut Numbers) -> Vec<u8> {
    let length = 3 + numbers.next() % 8;
    (0..length).map(|_| b'a' + u8::try_from(numbers.next() % 26).unwrap_or_default()).collect()
}

fn content(numbers: &mut Numbers, words: &[Vec<u8>], size: u64, is_random: bool) -> Vec<u8> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut content = Vec::with_capacity(size + 16);
    while content.len() < size {
        let number = numbers.next();
        if is_random {
            content.extend(number.to_le_bytes());
        } else {
            // The lower ones are more frequent, as some words are.
            let word = (number % WORDS) * ((number >> 32) % WORDS) / WORDS;
            content.extend_from_slice(&words[usize::try_from(word).unwrap_or_default()]);
            content.push(if number.is_multiple_of(11) { b'\n' } else { b' ' });
        }
    }
    content.truncate(size);
    content
}
