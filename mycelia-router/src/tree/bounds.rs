use crate::router::Router;
use crate::steps::steps_of;
use std::time::Instant;

fn routes<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Router<()> {
    let mut router = Router::new();
    for p in patterns {
        router.insert(p.as_ref(), ()).unwrap();
    }
    router
}

#[test]
fn explore() {
    // suffix shapes
    for n in [10usize, 100, 1000, 2000] {
        let t = Instant::now();
        let r = routes((1..=n).map(|k| format!("{{x}}{}/end", "a".repeat(k))));
        let ins = t.elapsed();
        for (what, path) in [
            ("short", "z".to_string()),
            ("short/q", "z/q".to_string()),
            ("alla/q", format!("{}/q", "a".repeat(n.min(2000) + 1))),
            ("za", format!("{}z/q", "a".repeat(n.min(2000) + 1))),
        ] {
            let t = Instant::now();
            let (s, f) = steps_of(|| r.at(&path).is_ok());
            println!("suffix shapes n={n} {what}: steps {s} found {f} {:?} insert {:?}", t.elapsed(), ins);
        }
    }
    // prefix x suffix shapes
    for m in [10usize, 30, 60, 140] {
        let t = Instant::now();
        let mut ps = vec![];
        for i in 0..m {
            for j in 0..m {
                if i + j > 0 {
                    ps.push(format!("{}{{x}}{}/end", "a".repeat(i), "a".repeat(j)));
                }
            }
        }
        let text: usize = ps.iter().map(|p| p.len()).sum();
        let r = routes(ps.iter());
        let ins = t.elapsed();
        for len in [5, 2 * m, 2000] {
            let path = format!("{}/q", "a".repeat(len));
            let t = Instant::now();
            let (s, f) = steps_of(|| r.at(&path).is_ok());
            println!(
                "p x s shapes m={m} ({} routes, {text} bytes) len {len}: steps {s} found {f} {:?} insert {:?}",
                ps.len(),
                t.elapsed(),
                ins
            );
        }
    }
    // insertion order worst
    for m in [100usize, 140, 200] {
        let t = Instant::now();
        let mut ps = vec![];
        for i in 0..m {
            for j in 0..m {
                if i + j > 0 {
                    ps.push(format!("{}{{x}}{}", "a".repeat(i), "a".repeat(j)));
                }
            }
        }
        let r = routes(ps.iter());
        let ins = t.elapsed();
        let t = Instant::now();
        let mut r = r;
        for p in ps.iter().rev() {
            r.remove(p).unwrap();
        }
        println!("insert {} shapes: {:?}, remove {:?}", ps.len(), ins, t.elapsed());
    }
    // binary backtracking
    for d in [4usize, 8, 12, 14] {
        let ps = (0..1u32 << d).map(|bits| {
            let mut s: Vec<String> =
                (0..d).map(|i| if bits >> i & 1 == 0 { "a".into() } else { format!("{{p{i}}}") }).collect();
            s.push("end".into());
            s.join("/")
        });
        let r = routes(ps);
        let path = vec!["a"; d + 1].join("/");
        let (s, f) = steps_of(|| r.at(&path).is_ok());
        println!("binary depth {d}: {} routes steps {s} found {f}", r.len());
    }
    // 10 000 literals
    for n in [10usize, 100, 10_000] {
        let r = routes((0..n).map(|i| format!("a{i}/{{x}}")));
        let mut all: Vec<usize> = (0..n)
            .map(|i| {
                let p = format!("a{i}/x");
                let (s, f) = steps_of(|| r.at(&p).is_ok());
                assert!(f);
                s
            })
            .collect();
        all.sort();
        println!(
            "literals {n}: min {} max {} mean {}",
            all[0],
            all[n - 1],
            all.iter().sum::<usize>() as f64 / n as f64
        );
    }
    // 2 KiB
    let l = "a".repeat(2000);
    let r = routes([format!("{l}{{x}}"), format!("{l}b/{{x}}"), format!("{{x}}{l}")]);
    println!("2KiB {:?}", steps_of(|| r.at(&format!("{l}c")).is_ok()));
    println!("2KiB {:?}", steps_of(|| r.at(&format!("{l}b/c")).is_ok()));
}
