package identitytest_test

import (
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestMemory_KeepsTheStoresContracts(t *testing.T) {
	identitytest.RunStore(t, func(_ *testing.T, now func() time.Time) identity.Store { return identitytest.Memory(now) })
}
