package alerts

import (
	_ "embed"
	"fmt"
	"regexp"
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
