# An idle timeout of one's own
$ local 10.9.1.1
$ ipvsadm -P -z 10.9.1.1
$ ipvsadm -A -t 10.9.0.1:80 -s rr --fullnat --conn-timeout 3600
$ ipvsadm -A -u 10.9.0.1:53 -s rr --conn-timeout 30 --fullnat
$ ipvsadm -E -t 10.9.0.2:80 --fullnat --toa 254 --conn-timeout 2678400
Note: IPVS does not have the service -t 10.9.0.2:80 now
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s rr --fullnat --conn-timeout 3600
-A -u 10.9.0.1:53 -s rr --fullnat --conn-timeout 30
-E -t 10.9.0.2:80 --fullnat --toa 254 --conn-timeout 2678400
# an edit keeps what it does not name
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --toa 254
$ ipvsadm -E -t 10.9.0.1:80 -s wrr
$ ipvsadm -E -u 10.9.0.1:53 -s wlc --fullnat
$ ipvsadm -E -t 10.9.0.2:80 --fullnat --conn-timeout 7
Note: IPVS does not have the service -t 10.9.0.2:80 now
# the same again is no error
$ ipvsadm -A -u 10.9.0.1:53 -s wlc --fullnat
$ ipvsadm -A -u 10.9.0.1:53 -s wlc --fullnat --conn-timeout 30
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s wrr --fullnat --toa 254 --conn-timeout 3600
-A -u 10.9.0.1:53 -s wlc --fullnat --conn-timeout 30
-E -t 10.9.0.2:80 --fullnat --toa 254 --conn-timeout 7
# nothing stays half applied
$ ipvsadm -E -t 10.9.0.1:80 -s nosuch --fullnat --conn-timeout 5
Scheduler or persistence engine not found
[255]
$ ipvsadm -A -u 10.9.0.1:53 -s rr --fullnat --conn-timeout 5
Service already exists
[255]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout 2678401
illegal timeout `2678401': it is a number of seconds up to 2678400 (31 days); 0 is what `ipvsadm --set' says
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout 4294967297
illegal timeout `4294967297': it is a number of seconds up to 2678400 (31 days); 0 is what `ipvsadm --set' says
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout -1
illegal timeout `-1': it is a number of seconds up to 2678400 (31 days); 0 is what `ipvsadm --set' says
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout 1m
illegal timeout `1m': it is a number of seconds up to 2678400 (31 days); 0 is what `ipvsadm --set' says
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout ''
illegal timeout `': it is a number of seconds up to 2678400 (31 days); 0 is what `ipvsadm --set' says
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout 010
illegal timeout `010': it is a number of seconds up to 2678400 (31 days); 0 is what `ipvsadm --set' says
[2]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout
--conn-timeout: missing argument
[255]
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout 5 --conn-timeout 6
multiple 'conn-timeout' options specified
[2]
$ ipvsadm -E -t 10.9.0.1:80 --conn-timeout 5
The 'conn-timeout' option needs the 'fullnat' option
[2]
$ ipvsadm -a -t 10.9.0.1:80 -r 10.9.2.1:80 --conn-timeout 5
Illegal 'conn-timeout' option with the 'add-server' command
[2]
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1 --conn-timeout 5
Illegal 'conn-timeout' option with the 'add-laddr' command
[2]
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s wrr --fullnat --toa 254 --conn-timeout 3600
-A -u 10.9.0.1:53 -s wlc --fullnat --conn-timeout 30
-E -t 10.9.0.2:80 --fullnat --toa 254 --conn-timeout 7
# 0 is what --set says
$ ipvsadm -E -t 10.9.0.1:80 --fullnat --conn-timeout 0
$ ipvsadm -D -t 10.9.0.2:80
$ ipvsadm -E -t 10.9.0.2:80 --fullnat
Note: IPVS does not have the service -t 10.9.0.2:80 now
$ ipvsadm -Sn
-P -z 10.9.1.1
-A -t 10.9.0.1:80 -s wrr --fullnat --toa 254
-A -u 10.9.0.1:53 -s wlc --fullnat --conn-timeout 30
-E -t 10.9.0.2:80 --fullnat
