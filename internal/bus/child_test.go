package bus

func child(what string) int { return 2 }
