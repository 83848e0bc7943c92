package decode

import "testing"

// Every phrase is one that a stem lets through: else it would never be looked for.
func TestSignInStems(t *testing.T) {
	for _, p := range refusals {
		if refused, _ := signInText("user " + p); !refused {
			t.Errorf("%q is not found", p)
		}
	}
	for _, p := range grants {
		if refused, granted := signInText("user " + p); refused || !granted {
			t.Errorf("%q is not found", p)
		}
		if _, granted := signInText("user is not " + p); granted {
			t.Errorf("%q counts where it is denied", p)
		}
	}
}

func TestAccountAndAddress(t *testing.T) {
	for m, want := range map[string][2]string{
		`Authentication attempt from [203.0.113.9, 10.0.0.2] for user "bob" failed.`:                                                       {"bob", "203.0.113.9"},
		"Failed authentication attempt for bob from 203.0.113.9:39522: user does not exist [uid: 0]":                                       {"bob", "203.0.113.9"},
		"Incorrect username or password for user bob@corp.example. IP=203.0.113.9":                                                         {"bob@corp.example", "203.0.113.9"},
		"bob 203.0.113.9 failed to login":                                                                                                  {"bob", "203.0.113.9"},
		"CamillaN was not found in LDAP directory (203.0.113.9)":                                                                           {"CamillaN", "203.0.113.9"},
		`SecurityEvent="InvalidPassword",AccountID="6001",LocalAddress="IPV4/UDP/10.0.0.1/5060",RemoteAddress="IPV4/UDP/203.0.113.9/5061"`: {"6001", "203.0.113.9"},
		`App: 403: POST /api: 203.0.113.9: Invalid username or password: {"email":"bob@corp.example"}`:                                     {"bob@corp.example", "203.0.113.9"},
		"imap-login: Disconnected (auth failed): user=<from 198.51.100.1>, rip=203.0.113.9, lip=10.0.0.1":                                  {"from 198.51.100.1", "203.0.113.9"},
		"Login failed, version 1.2.3 of build 10.20.30.40.50":                                                                              {"", ""},
		"type=LOGIN_ERROR, userId=null, ipAddress=203.0.113.9, error=user_not_found, username=bob, x=y":                                    {"bob", "203.0.113.9"},
	} {
		lower := asciiLower(m)
		user, at, end := accountIn(m, lower)
		if from := addressIn(m, lower, at, end); user != want[0] || from != want[1] {
			t.Errorf("%s: user %q from %q", m, user, from)
		}
	}
}
