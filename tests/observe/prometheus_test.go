// Package observe proves that what watches Cloakroom looks at something: it runs the real stack, makes the traffic of a day in
// short, scrapes it into Prometheus' own storage, and has Prometheus' own engine evaluate every panel and every alert.
package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// step is the time between two scrapes as the storage has it. Scrapes come faster than that here; rates don't matter.
const step = 30 * time.Second

// world is a Prometheus with one target.
type world struct {
	t      testing.TB
	db     *tsdb.DB
	engine *promql.Engine
	parser parser.Parser
	now    time.Time // of the last scrape
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := parser.NewParser(parser.Options{})
	return &world{
		t: t, db: db, parser: p, now: time.Now().Truncate(step).Add(-time.Hour),
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 5e6, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true, Parser: p}),
	}
}

// scrape reads the ops port once and moves time on.
func (w *world) scrape(ops string) {
	w.t.Helper()
	res, err := http.Get(ops + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("scrape: %d %v", res.StatusCode, err)
	}
	w.now = w.now.Add(step)
	samples := textparse.NewPromParser(raw, labels.NewSymbolTable(), false)
	app := w.db.Appender(context.Background())
	for {
		entry, err := samples.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := samples.Series()
		var series labels.Labels
		samples.Labels(&series)
		b := labels.NewBuilder(series)
		b.Set("job", "cloakroom").Set("instance", "one")
		if _, err := app.Append(0, b.Labels(), w.now.UnixMilli(), value); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// query evaluates an expression at the last scrape.
func (w *world) query(expr string) (promql.Vector, error) {
	q, err := w.engine.NewInstantQuery(context.Background(), w.db, nil, expr, w.now)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(context.Background())
	switch v := result.Value.(type) {
	case promql.Vector:
		return slices.Clone(v), result.Err
	case promql.Scalar:
		return promql.Vector{{F: v.V}}, result.Err
	default:
		return nil, cmpErr(result.Err, fmt.Errorf("a result of type %T", result.Value))
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// record evaluates a recording rule at the last scrape and keeps what comes of it.
func (w *world) record(name, expr string) {
	w.t.Helper()
	result, err := w.query(expr)
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	app := w.db.Appender(context.Background())
	for _, sample := range result {
		b := labels.NewBuilder(sample.Metric)
		b.Set(model.MetricNameLabel, name)
		if _, err := app.Append(0, b.Labels(), w.now.UnixMilli(), sample.F); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := app.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// selectors returns the instant selectors of an expression, each without its offset, range and surroundings.
func (w *world) selectors(expr string) ([]string, error) {
	parsed, err := w.parser.ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	var found []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			plain := parser.VectorSelector{Name: s.Name, LabelMatchers: s.LabelMatchers}
			found = append(found, plain.String())
		}
		return nil
	})
	return found, nil
}

var variables = regexp.MustCompile(`\$(__rate_interval|namespace)\b`)

// concrete puts values into a panel's expression, as Grafana does.
func concrete(expr string) string {
	return variables.ReplaceAllStringFunc(expr, func(name string) string {
		return map[string]string{"$__rate_interval": "5m", "$namespace": ".*"}[name]
	})
}
