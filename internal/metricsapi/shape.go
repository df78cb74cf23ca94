package metricsapi

import (
	"slices"
	"strings"
)

// own keeps what was asked for: series with a name of the question and with the
// namespace. foreign counts the others, of which there are none unless the
// backend is broken or not the one that we take it for.
func own(q question, namespace string, found []Series) (kept []Series, foreign int) {
	kept = slices.DeleteFunc(slices.Clone(found), func(s Series) bool {
		return !q.names[s.Labels[nameLabel]] || s.Labels[q.by] != namespace
	})
	return kept, len(found) - len(kept)
}

// presentable gives series as customers see them in JSON: with the labels that
// are theirs to know, and without samples that JSON has no form for. A series of
// which no sample is left is left out.
func presentable(found []Series) []Series {
	out := make([]Series, 0, len(found))
	for _, s := range found {
		samples := slices.DeleteFunc(slices.Clone(s.Samples), func(one Sample) bool { return !finite(one.Value) })
		if len(samples) == 0 {
			continue
		}
		visible := map[string]string{}
		for name, value := range s.Labels {
			if shown[name] {
				visible[name] = value
			}
		}
		out = append(out, Series{Labels: visible, Samples: samples})
	}
	return out
}

// point is a series of a scrape: the labels in the order of the catalogue, and
// the one value that counts.
type point struct {
	values []string // of the metric's labels, "" where there is none
	sample Sample
}

// points gives one point for each combination of a metric's labels. Series that
// differ only in what is dropped (copies by two replicas of a Prometheus, for
// one) would be the same series twice, for which a scrape is refused as a whole:
// the newest counts, of equally new ones the largest.
func points(m Metric, found []Series) []point {
	best := map[string]point{}
	for _, s := range found {
		if s.Labels[nameLabel] != m.Name || len(s.Samples) == 0 {
			continue
		}
		p := point{sample: s.Samples[len(s.Samples)-1]}
		if !finite(p.sample.Value) {
			continue
		}
		for _, label := range m.Labels {
			p.values = append(p.values, s.Labels[label])
		}
		key := strings.Join(p.values, "\x00")
		if other, ok := best[key]; !ok || p.newer(other) {
			best[key] = p
		}
	}
	all := make([]point, 0, len(best))
	for _, p := range best {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b point) int { return slices.Compare(a.values, b.values) })
	return all
}

func (p point) newer(other point) bool {
	if p.sample.Milliseconds != other.sample.Milliseconds {
		return p.sample.Milliseconds > other.sample.Milliseconds
	}
	return p.sample.Value > other.sample.Value
}
