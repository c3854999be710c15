//! Short texts as numbers, without a detour over memory: what is written in pieces and read as a whole makes a processor wait.

/// Up to fifteen bytes, little-endian, the rest zero.
#[inline]
pub(crate) fn little_endian(bytes: &[u8]) -> u128 {
    // From both ends; where they overlap, they are the same.
    let shift = |length: usize| 8 * (bytes.len() - length);
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << shift(8)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u128::from(u64::from(first) | u64::from(last) << shift(4))
    } else {
        bytes.iter().rev().fold(0, |all, byte| all << 8 | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::little_endian;

    #[test]
    fn every_length_is_read_right() {
        let bytes: Vec<u8> = (1..=15).collect();
        for length in 0..=15 {
            let mut expected = [0; 16];
            expected[..length].copy_from_slice(&bytes[..length]);
            assert_eq!(little_endian(&bytes[..length]), u128::from_le_bytes(expected));
        }
    }
}
