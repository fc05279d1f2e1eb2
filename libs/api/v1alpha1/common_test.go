package v1alpha1

import (
	"math"
	"testing"
	"time"
)

func TestDuration_Std(t *testing.T) {
	for text, want := range map[Duration]time.Duration{
		"1h30m": 90 * time.Minute, "0s": 0, "250ms": 250 * time.Millisecond, "99999h": 99999 * time.Hour,
		"": 0, "1d": 0, "soon": 0,
	} {
		if got := text.Std(); got != want {
			t.Errorf("Duration(%q).Std() = %v, want %v", text, got, want)
		}
	}
}

func TestSize_Bytes(t *testing.T) {
	for text, want := range map[Size]int64{
		"0": 0, "512": 512, "64Ki": 64 << 10, "20Mi": 20 << 20, "5Gi": 5 << 30, "1Ti": 1 << 40,
		"999999Ti": 999999 << 40, "999999999999999999": 999999999999999999,
		"": 0, "Ki": 0, "-1": 0, "1.5Gi": 0, "1G": 0, "9999999999Ti": 0, "99999999999999999999": 0,
	} {
		if got := text.Bytes(); got != want {
			t.Errorf("Size(%q).Bytes() = %d, want %d", text, got, want)
		}
	}
}

func TestTelemetry_Ratio(t *testing.T) {
	if got := (Telemetry{SamplingRatePerMillion: 250_000}).Ratio(); math.Abs(got-0.25) > 1e-9 {
		t.Errorf("Ratio() = %v, want 0.25", got)
	}
}

func TestNew_KnowsEveryKind(t *testing.T) {
	for _, kind := range Kinds() {
		if _, ok := New(kind); !ok {
			t.Errorf("New(%q): unknown kind", kind)
		}
	}
	if _, ok := New("Gateway"); ok {
		t.Error("New made an object of a kind that doesn't exist")
	}
}
