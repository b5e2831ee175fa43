"""Graph measures by NetworkX -> fixtures/golden/graph.json. Weights come from a generator that the Rust test repeats."""
import json, pathlib
import networkx as nx, numpy as np

cases = []
for n, seed, density in [(12, 1, 0.3), (20, 2, 0.1), (33, 3, 0.2), (16, 4, 1.0)]:
    s, weights = seed, []
    for a in range(n):
        for b in range(a + 1, n):
            s = (1664525 * s + 1013904223) & 0xFFFFFFFF
            weights.append((a, b, s / 4294967296 - 0.2))
    keep = sorted([w for w in weights if w[2] > 0], key=lambda w: -w[2])[: int(np.floor(density * n * (n - 1) / 2 + 0.5))]
    g = nx.Graph()
    g.add_nodes_from(range(n))
    g.add_weighted_edges_from(keep)
    lengths = [d for a, row in nx.all_pairs_shortest_path_length(g) for b, d in row.items() if a != b]
    if nx.is_connected(g):
        assert np.isclose(np.mean(lengths), nx.average_shortest_path_length(g), rtol=1e-13)
    c = nx.clustering(g)
    strength = dict(g.degree(weight="weight"))
    cases.append(dict(nodes=n, seed=seed, density=density, edges=g.number_of_edges(), degree=[g.degree(i) for i in range(n)], strength=[float(strength[i]) for i in range(n)],
                      clustering=[float(c[i]) for i in range(n)], reached=len(lengths), path_length=float(np.mean(lengths)), efficiency=float(nx.global_efficiency(g)), connected=nx.is_connected(g)))
path = pathlib.Path(__file__).parents[2] / "fixtures/golden/graph.json"
path.write_text(json.dumps(dict(made_by="tests/reference/graph.py", versions=dict(networkx=nx.__version__, numpy=np.__version__), cases=cases)))
print(path.stat().st_size, [(c["edges"], c["connected"]) for c in cases])
