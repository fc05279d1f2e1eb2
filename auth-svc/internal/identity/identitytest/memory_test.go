package identitytest_test

import (
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func memory(_ *testing.T, now func() time.Time) identity.Store { return identitytest.Memory(now) }

func TestMemory_KeepsTheStoresContracts(t *testing.T) { identitytest.RunStore(t, memory) }

func TestMemory_RefreshAgreesWithTheModel(t *testing.T) { identitytest.RunRefreshModel(t, memory) }

func TestMemory_HoldsWhenManyComeAtOnce(t *testing.T) { identitytest.RunConcurrency(t, memory) }

func TestMemory_CodesGainNothingFromParallelRequests(t *testing.T) {
	identitytest.RunFactors(t, memory)
}
