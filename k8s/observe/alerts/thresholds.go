package alerts

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed thresholds.yaml
var defaults []byte

// Thresholds are values by name. What a rule may ask for stands in thresholds.yaml.
type Thresholds map[string]any

// Defaults returns the thresholds that are built in.
func Defaults() (Thresholds, error) {
	var t Thresholds
	if err := yaml.UnmarshalStrict(defaults, &t); err != nil {
		return nil, fmt.Errorf("thresholds.yaml: %w", err)
	}
	return t, nil
}

// With returns thresholds in which those of raw take the place of others. A name that no rule knows is an error, as is a text
// where a number belongs: both would be a threshold that quietly does nothing.
func (t Thresholds) With(raw []byte) (Thresholds, error) {
	var own Thresholds
	if err := yaml.UnmarshalStrict(raw, &own); err != nil {
		return nil, err
	}
	merged := Thresholds{}
	for name, value := range t {
		merged[name] = value
	}
	for name, value := range own {
		was, known := merged[name]
		if !known {
			return nil, fmt.Errorf("there is no threshold %q", name)
		}
		if fmt.Sprintf("%T", was) != fmt.Sprintf("%T", value) {
			return nil, fmt.Errorf("threshold %q is a %T, not %v", name, was, value)
		}
		merged[name] = value
	}
	return merged, nil
}

// budgets are what objectives leave, by the name that rules have for it.
var budgets = map[string]string{"availabilityBudget": "availabilityObjective", "latencyBudget": "latencyObjective"}

// withBudgets adds the budgets, and says which thresholds have been used for them.
func (t Thresholds) withBudgets() (more Thresholds, used map[string]bool, err error) {
	more, used = maps.Clone(t), map[string]bool{}
	for budget, objective := range budgets {
		used[objective] = true
		switch share := t[objective].(type) {
		case openName:
			more[budget] = openName(budget)
		case float64:
			if share <= 0 || share >= 1 {
				return nil, nil, fmt.Errorf("%s is %v: it is a share, above 0 and below 1", objective, share)
			}
			more[budget] = strconv.FormatFloat(1-share, 'g', 6, 64) // without the noise of binary fractions
		default:
			return nil, nil, fmt.Errorf("there is no threshold %q", objective)
		}
	}
	if seconds, ok := t["latencySeconds"].(float64); ok && !slices.Contains(buckets, seconds) {
		return nil, nil, fmt.Errorf("latencySeconds is %v: the alert would never fire, for the buckets of the histogram are %v", seconds, buckets)
	}
	return more, used, nil
}

// buckets are those of cloakroom_http_request_duration_seconds.
var buckets = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}

// openName is the value of a threshold that somebody else fills in.
type openName string

func (n openName) String() string { return "<" + string(n) + ">" }

// open has every threshold stand for itself.
func (t Thresholds) open() Thresholds {
	open := Thresholds{}
	for name := range t {
		open[name] = openName(name)
	}
	return open
}

var placeholder = regexp.MustCompile(`<[a-zA-Z]+>`)

// fill puts thresholds in the place of <name>s. Every name must be known, and every threshold is to be used by some rule.
func (t Thresholds) fill(text string, used map[string]bool) (string, error) {
	var unknown []string
	filled := placeholder.ReplaceAllStringFunc(text, func(name string) string {
		name = strings.Trim(name, "<>")
		value, ok := t[name]
		if !ok {
			unknown = append(unknown, name)
		}
		used[name] = true
		if number, ok := value.(float64); ok {
			return strconv.FormatFloat(number, 'f', -1, 64)
		}
		return fmt.Sprint(value)
	})
	if len(unknown) > 0 {
		return "", fmt.Errorf("no threshold is named %s", strings.Join(unknown, ", "))
	}
	return filled, nil
}
