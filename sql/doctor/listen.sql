-- A channel of the doctor's own, so that no service is woken.
listen reveille_doctor
