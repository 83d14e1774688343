//! Shards: a project is checked in parts, each on a machine of its own.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// One of several shards, numbered from 1, as in `2/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    pub index: usize,
    pub count: usize,
}

/// What one shard took of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardShare {
    pub shard: Shard,
    /// The number of its nodes,
    pub taken: usize,
    /// and of all.
    pub of: usize,
    /// A checksum of the whole, the same in every shard of it.
    pub whole: String,
}

/// A table or model that is assigned to a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNode {
    pub name: String,
    /// Its estimated share of the work.
    pub weight: usize,
    /// How long it took earlier, if that is known.
    pub took: Option<Duration>,
    /// The positions of those that it reads.
    pub reads: Vec<usize>,
    /// What else has to be the same in every shard, such as its query.
    pub definition: String,
}

/// How much a shard may get, in percent of the mean. Only a single part may be larger. Times differ from their estimates, and
/// the longest shard is to take no more than 1.25 times the mean.
const MOST: u128 = 110;

impl Shard {
    /// The nodes of this shard, by their positions. Connected nodes are in the same shard. A part stays in its shard when
    /// others are added, unless that shard becomes too large: a hash of its first root prefers the shards.
    pub fn of(self, nodes: &[ShardNode]) -> (Vec<usize>, ShardShare) {
        let mut parts = connected(nodes);
        let weights = weights(nodes);
        let weight = |part: &Vec<usize>| part.iter().map(|at| weights[*at]).sum::<u128>();
        let key = |part: &Vec<usize>| {
            let roots = part.iter().filter(|at| nodes[**at].reads.is_empty()).map(|at| &nodes[*at].name);
            roots.min().cloned().unwrap_or_else(|| nodes[part[0]].name.clone())
        };
        // Heavy parts choose first.
        parts.sort_by_cached_key(|part| (std::cmp::Reverse(weight(part)), key(part)));
        let most = (weights.iter().sum::<u128>() * MOST).div_ceil(100 * self.count as u128);
        let mut loads = vec![0; self.count];
        let mut taken = Vec::new();
        for part in &parts {
            let (key, weight) = (key(part), weight(part));
            let mut preferred: Vec<usize> = (0..self.count).collect();
            preferred.sort_by_cached_key(|shard| std::cmp::Reverse(hash(&format!("{shard} {key}"))));
            let fits = preferred.iter().copied().find(|shard| loads[*shard] + weight <= most);
            let chosen = fits.or_else(|| preferred.iter().copied().min_by_key(|shard| loads[*shard]));
            let Some(chosen) = chosen else { continue };
            loads[chosen] += weight;
            if chosen + 1 == self.index {
                taken.extend(part);
            }
        }
        taken.sort_unstable();
        let line =
            |(node, weight): (&ShardNode, &u128)| format!("{}\n{}\n{weight}\n", node.name, node.definition);
        let mut lines: Vec<String> = nodes.iter().zip(&weights).map(line).collect();
        lines.sort_unstable();
        let whole = format!("{:016x}", hash(&lines.concat()));
        let share = ShardShare { shard: self, taken: taken.len(), of: nodes.len(), whole };
        (taken, share)
    }
}

/// How long each node takes, in microseconds: what it took earlier, and else its estimate in proportion to the others.
fn weights(nodes: &[ShardNode]) -> Vec<u128> {
    let known = || nodes.iter().filter_map(|node| Some((node.took?.as_micros(), node.weight as u128)));
    let (took, estimated) = known().fold((0, 0), |(took, all), (one, weight)| (took + one, all + weight));
    let a_unit = took.checked_div(estimated).unwrap_or_default().max(1);
    nodes.iter().map(|node| node.took.map_or(node.weight as u128 * a_unit, |took| took.as_micros())).collect()
}

/// The connected parts of the graph, each sorted.
fn connected(nodes: &[ShardNode]) -> Vec<Vec<usize>> {
    fn root(of: &[usize], mut at: usize) -> usize {
        while of[at] != at {
            at = of[at];
        }
        at
    }
    let mut joined: Vec<usize> = (0..nodes.len()).collect();
    for (at, node) in nodes.iter().enumerate() {
        for read in &node.reads {
            let (one, other) = (root(&joined, at), root(&joined, *read));
            joined[one.max(other)] = one.min(other);
        }
    }
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..nodes.len() {
        parts.entry(root(&joined, at)).or_default().push(at);
    }
    parts.into_values().collect()
}

/// FNV-1a with a final mix, the same on every machine and in every version.
fn hash(text: &str) -> u64 {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut mixed = text.bytes().fold(0xCBF2_9CE4_8422_2325, fold);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 27)
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, count)| Some(Self { index: index.parse().ok()?, count: count.parse().ok()? }));
        parsed
            .filter(|shard| (1..=shard.count).contains(&shard.index) && shard.count <= 1000)
            .ok_or_else(|| "not a shard such as `2/8`: the second of eight".to_owned())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chains of one to six nodes.
    fn chains(count: usize) -> Vec<ShardNode> {
        let mut nodes: Vec<ShardNode> = Vec::new();
        for chain in 0..count {
            for place in 0..=(chain * 7 % 6) {
                let reads = if place == 0 { vec![] } else { vec![nodes.len() - 1] };
                let name = format!("s.t{chain}_{place}");
                let (weight, definition) = (1 + chain % 3, String::new());
                nodes.push(ShardNode { name, weight, took: None, reads, definition });
            }
        }
        nodes
    }

    fn shards(nodes: &[ShardNode], count: usize) -> Vec<Vec<usize>> {
        (1..=count).map(|index| Shard { index, count }.of(nodes).0).collect()
    }

    #[test]
    fn every_node_is_in_one_shard_together_with_what_it_reads() {
        let nodes = chains(100);
        let shards = shards(&nodes, 8);
        let mut all: Vec<usize> = shards.concat();
        all.sort_unstable();
        assert_eq!(all, (0..nodes.len()).collect::<Vec<_>>());
        for shard in &shards {
            assert!(shard.iter().all(|at| nodes[*at].reads.iter().all(|read| shard.contains(read))));
        }
    }

    #[test]
    fn two_thousand_tables_are_spread_evenly_and_a_new_table_moves_few() {
        let nodes = chains(571);
        assert!((1990..2010).contains(&nodes.len()), "{}", nodes.len());
        for count in [1, 2, 4, 8] {
            let weight = |shard: &Vec<usize>| shard.iter().map(|at| nodes[*at].weight).sum::<usize>();
            let loads: Vec<usize> = shards(&nodes, count).iter().map(weight).collect();
            let (most, total) = (loads.iter().max().unwrap(), loads.iter().sum::<usize>());
            assert!(most * count * 100 <= total * 111, "{loads:?}");
        }
        let before = shards(&nodes, 8);
        for at in (0..nodes.len()).step_by(200) {
            for reads in [vec![], vec![at]] {
                let mut more = nodes.clone();
                more.push(ShardNode { name: format!("s.new{at}"), reads, ..nodes[at].clone() });
                let after = shards(&more, 8);
                let moved = |(before, after): (&Vec<usize>, &Vec<usize>)| {
                    before.iter().filter(|at| !after.contains(at)).count()
                };
                let moved: usize = before.iter().zip(&after).map(moved).sum();
                assert!(moved <= nodes.len() / 100, "{moved} of {} moved", nodes.len());
            }
        }
    }

    /// Half of the chains took twenty times as long as the estimate says, and one is new.
    #[test]
    fn earlier_durations_count_more_than_estimates() {
        let mut nodes = chains(200);
        let second = |at: usize| Duration::from_secs(if at.is_multiple_of(2) { 20 } else { 1 });
        let chain = |node: &ShardNode| node.name[3..].split_once('_').unwrap().0.parse::<usize>().unwrap();
        for node in &mut nodes {
            node.took = Some(second(chain(node))).filter(|_| chain(node) > 0);
        }
        let seconds =
            |shard: &Vec<usize>| shard.iter().map(|at| second(chain(&nodes[*at])).as_secs()).sum::<u64>();
        let loads: Vec<u64> = shards(&nodes, 4).iter().map(seconds).collect();
        let (most, total) = (loads.iter().max().unwrap(), loads.iter().sum::<u64>());
        assert!(most * 4 * 100 <= total * 112, "{loads:?}");
    }

    #[test]
    fn only_the_same_whole_has_the_same_checksum() {
        let whole = |nodes: &[ShardNode], index| Shard { index, count: 2 }.of(nodes).1.whole;
        let nodes = chains(3);
        assert_eq!(whole(&nodes, 1), whole(&nodes, 2));
        let mut changed = nodes.clone();
        changed[1].definition = "select 1".into();
        assert_ne!(whole(&nodes, 1), whole(&changed, 1));
        // Each shard has to know the same durations.
        changed.clone_from(&nodes);
        changed[1].took = Some(Duration::from_secs(1));
        assert_ne!(whole(&nodes, 1), whole(&changed, 1));
    }

    #[test]
    fn a_shard_is_read_as_it_is_written() {
        assert_eq!("2/8".parse::<Shard>().unwrap().to_string(), "2/8");
        for wrong in ["0/8", "9/8", "2", "2/", "a/b", "1/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
