package run_test

import (
	"testing"

	"cloakroom.dev/libs/run"
)

func TestPlaces_MayBeGivenSeveralTimes(t *testing.T) {
	var places run.Places
	fs := run.Flags("x", "x", run.IO{})
	fs.Var(&places, "config", "places")
	if err := run.ParseFlags(fs, []string{"--config", "DIR", "--config=crd://ns"}, 0, 0); err != nil || places.String() != "DIR, crd://ns" {
		t.Errorf("%v: %v", places, err)
	}
	if err := run.ParseFlags(fs, []string{"--config", ""}, 0, 0); err == nil {
		t.Error("an empty place was taken")
	}
}
