# Pools
$ local 10.9.1.1 10.9.1.2 10.9.1.3 10.9.1.16 10.9.1.17 10.9.1.18 10.9.1.19
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
# a warning, until there is one
$ ipvsadm -A -t 10.9.0.1:80 -s rr --fullnat
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.1:80          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
$ ipvsadm -G -t 10.9.0.1:80
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
10.9.0.1:80          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
$ ipvsadm -Q -t 10.9.0.1:80 -z 10.9.1.1
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
$ ipvsadm -Q -t 10.9.0.1:80 -z 10.9.1.1
.*(not|no such) .*in (the|this) pool.* (re)
[255]
$ ipvsadm -P -z 10.9.1.2
$ ipvsadm -A -t 10.9.0.2:80 -s rr --fullnat
$ ipvsadm -G -n
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              1        
                              10.9.1.2             0          0          1025-65535  0          0          local
10.9.0.1:80          0        
10.9.0.2:80          0        
$ ipvsadm -Q -z 10.9.1.2
Warning: -t 10.9.0.1:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.1:80 -z ADDRESS'
Warning: -t 10.9.0.2:80 has no local address: its connections will be dropped until one is added, by `ipvsadm -P -t 10.9.0.2:80 -z ADDRESS'
# ranges, prefixes, ports
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1-10.9.1.2
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.1-3
$ ipvsadm -P -t 10.9.0.2:80 -z 10.9.1.16/30:20000-29999
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.1:80          3        
                              10.9.1.1             0          0          1025-65535  0          0          local
                              10.9.1.2             0          0          1025-65535  0          0          local
                              10.9.1.3             0          0          1025-65535  0          0          local
10.9.0.2:80          4        
                              10.9.1.16            0          0          20000-29999 0          0          local
                              10.9.1.17            0          0          20000-29999 0          0          local
                              10.9.1.18            0          0          20000-29999 0          0          local
                              10.9.1.19            0          0          20000-29999 0          0          local
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1-10.9.1.3
-A -t 10.9.0.2:80 -s rr --fullnat
-P -t 10.9.0.2:80 -z 10.9.1.16-10.9.1.19:20000-29999
# neighbours with other ports are saved apart
$ ipvsadm -P -t 10.9.0.2:80 -z 10.9.1.20:20000-30000
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1-10.9.1.3
-A -t 10.9.0.2:80 -s rr --fullnat
-P -t 10.9.0.2:80 -z 10.9.1.16-10.9.1.19:20000-29999
-P -t 10.9.0.2:80 -z 10.9.1.20:20000-30000
$ ipvsadm -Q -t 10.9.0.2:80 -z 10.9.1.20
$ ipvsadm -P -t 10.9.0.2:80 -z 10.9.1.17:30000-39999
.*with other ports.* (re)
[255]
$ ipvsadm -Q -t 10.9.0.2:80 -z 10.9.1.17-18
$ ipvsadm -G -t 10.9.0.2:80
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
10.9.0.2:80          2        
                              10.9.1.16            0          0          20000-29999 0          0          local
                              10.9.1.19            0          0          20000-29999 0          0          local
$ ipvsadm -Sn
-A -t 10.9.0.1:80 -s rr --fullnat
-P -t 10.9.0.1:80 -z 10.9.1.1-10.9.1.3
-A -t 10.9.0.2:80 -s rr --fullnat
-P -t 10.9.0.2:80 -z 10.9.1.16:20000-29999
-P -t 10.9.0.2:80 -z 10.9.1.19:20000-29999
# a standby node: an address that is not local, a service that IPVS does not have
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.9
Note: the local address is not an address of this host now; it will be used when it is
$ ipvsadm -P -t 10.9.0.1:80 -z 10.9.1.2-5
Note: 2 of 4 local addresses are not addresses of this host now; they will be used when they are
$ ipvsadm -P -t 10.9.0.3:80 -z 10.9.1.1
Note: -t 10.9.0.3:80 is now declared FULLNAT
Note: IPVS does not have the service -t 10.9.0.3:80 now
$ ipvsadm -G
VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS      PORTS       TAKEOVERS  EXHAUSTED  STATE
default              0        
10.9.0.1:80          6        
                              10.9.1.1             0          0          1025-65535  0          0          local
                              10.9.1.2             0          0          1025-65535  0          0          local
                              10.9.1.3             0          0          1025-65535  0          0          local
                              10.9.1.4             0          0          1025-65535  0          0          absent
                              10.9.1.5             0          0          1025-65535  0          0          absent
                              10.9.1.9             0          0          1025-65535  0          0          absent
10.9.0.2:80          2        
                              10.9.1.16            0          0          20000-29999 0          0          local
                              10.9.1.19            0          0          20000-29999 0          0          local
10.9.0.3:80          1        
                              10.9.1.1             0          0          1025-65535  0          0          local
# in the pool of another service it has the same ports
$ ipvsadm -P -t 10.9.0.3:80 -z 10.9.1.16:30000-39999
.*with other ports.* (re)
[255]
$ ipvsadm -P -t 10.9.0.3:80 -z 10.9.1.16
.*with other ports.* (re)
[255]
$ ipvsadm -P -t 10.9.0.3:80 -z 10.9.1.15-10.9.1.16:30000-39999
.*with other ports.* (re)
[255]
$ ipvsadm -R
< -P -t 10.9.0.3:80 -z 10.9.1.19:20000-29999
< -P -z 10.9.1.19:20000-30000
.*with other ports.* (re)
ipvsadm: line 2 of the rules is refused, and so nothing of them is applied: -P -z 10.9.1.19:20000-30000
[255]
$ ipvsadm -P -t 10.9.0.3:80 -z 10.9.1.19:20000-29999
Note: IPVS does not have the service -t 10.9.0.3:80 now
$ ipvsadm -Q -t 10.9.0.3:80 -z 10.9.1.19
# as Alibaba's and DPVS's scripts say it
$ ipvsadm -A -t 10.9.0.4:80 -s rr
$ ipvsadm -a -t 10.9.0.4:80 -r 10.9.2.1:80 -b
$ ipvsadm -P -t 10.9.0.4:80 -z 10.9.1.1
Note: -t 10.9.0.4:80 is now declared FULLNAT
# but a NAT service does not change by the way
$ ipvsadm -A -t 10.9.0.5:80 -s rr
$ ipvsadm -a -t 10.9.0.5:80 -r 10.9.2.1:80 -m
$ ipvsadm -P -t 10.9.0.5:80 -z 10.9.1.1
-t 10.9.0.5:80 has masquerading real servers and is not declared FULLNAT: `ipvsadm -E -t 10.9.0.5:80 --fullnat' makes them FULLNAT
[255]
$ ipvsadm -G -t 10.9.0.5:80
.*not declared FULLNAT.* (re)
[255]
$ ipvsadm -Q -t 10.9.0.5:80 -z 10.9.1.1
.*not declared FULLNAT.* (re)
[255]
# of another family
$ ipvsadm -P -t 10.9.0.1:80 -z 2001:db8::1
.*(family|IPv4 only).* (re)
[255]
