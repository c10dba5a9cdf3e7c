# Makes group, passwd and shadow of the declared users and of what was there.
#
#   awk -f users.awk -v busybox=PROGRAM -v new=DIRECTORY FS='\t' DECLARATIONS \
#       FS=: /etc/.declared-users /etc/group /etc/passwd /etc/shadow
#
# DECLARATIONS has one record a line, its fields separated by tabs:
#   mutable true|false
#   group   NAME GID|- MEMBER,MEMBER
#   user    NAME UID|- GROUP DESCRIPTION HOME SHELL normal|system
#           none|plain:PASSWORD|hash:HASH HOMEMODE|-
#
# Writes to DIRECTORY: group, passwd, shadow; .declared-users, the names
# declared now; homes, the home directories that have to be there.
#
# An id that is not declared stays what it was, or is the next free one. A
# user or group that no declaration has ever made is kept if users are
# mutable; one that was declared before and is no longer is removed. A
# password that is there stays, unless users are immutable.

FS == "\t" && $1 == "mutable" { mutable = ($2 == "true"); next }
FS == "\t" && $1 == "group" {
    groups[++group_count] = $2
    gid[$2] = $3
    members[$2] = $4
    if ($3 != "-") gid_taken[$3] = 1
    next
}
FS == "\t" {
    users[++user_count] = $2
    uid[$2] = $3
    group[$2] = $4
    description[$2] = $5
    home[$2] = $6
    shell[$2] = $7
    kind[$2] = $8
    secret[$2] = $9
    home_mode[$2] = $10
    if ($3 != "-") uid_taken[$3] = 1
    next
}

FILENAME == "/etc/.declared-users" { declared_before[$0] = 1; next }

FILENAME == "/etc/group" {
    old_gid[$1] = $3
    if (mutable && !($1 in gid) && !(("group " $1) in declared_before)) {
        kept_groups[++kept_group_count] = $0
        gid_taken[$3] = 1
    }
    next
}

FILENAME == "/etc/passwd" {
    old_uid[$1] = $3
    if (mutable && !($1 in uid) && !(("user " $1) in declared_before)) {
        kept_users[++kept_user_count] = $0
        kept[$1] = 1
        uid_taken[$3] = 1
    }
    next
}

FILENAME == "/etc/shadow" {
    old_hash[$1] = $2
    if ($1 in kept) kept_shadow[++kept_shadow_count] = $0
    next
}

# The old id if it is free, else the next one upwards or downwards.
function choose(name, old, taken, first, step,    id) {
    id = (name in old) && !(old[name] in taken) ? old[name] : first
    while (id in taken) id += step
    taken[id] = 1
    return id
}

function hash_of(name,    value, command, hash) {
    value = secret[name]
    if (mutable && (name in old_hash)) return old_hash[name]
    if (value ~ /^hash:/) return substr(value, 6)
    if (value ~ /^plain:/) {
        value = substr(value, 7)
        # Twice the backslash: gsub takes one away.
        gsub(/'/, "'\\\\''", value)
        command = "printf %s '" value "' | " busybox " mkpasswd -m sha512 -P 0"
        command | getline hash
        close(command)
        if (hash == "") {
            print "cannot hash the password of " name " with " busybox " mkpasswd" >"/dev/stderr"
            failed = 1
        }
        return hash
    }
    return "!"
}

END {
    group_file = new "/group"
    passwd_file = new "/passwd"
    shadow_file = new "/shadow"
    homes_file = new "/homes"
    record = new "/.declared-users"
    printf "" >homes_file

    for (i = 1; i <= group_count; i++) {
        name = groups[i]
        if (gid[name] == "-") gid[name] = choose(name, old_gid, gid_taken, 990, -1)
        print name ":x:" gid[name] ":" members[name] >group_file
        print "group " name >record
    }
    for (i = 1; i <= kept_group_count; i++) print kept_groups[i] >group_file

    for (i = 1; i <= user_count; i++) {
        name = users[i]
        if (uid[name] == "-")
            uid[name] = kind[name] == "normal" \
                ? choose(name, old_uid, uid_taken, 1000, 1) \
                : choose(name, old_uid, uid_taken, 990, -1)
        print name ":x:" uid[name] ":" gid[group[name]] ":" description[name] \
            ":" home[name] ":" shell[name] >passwd_file
        print name ":" hash_of(name) ":1::::::" >shadow_file
        print "user " name >record
        if (home_mode[name] != "-")
            print home[name] "\t" home_mode[name] "\t" uid[name] "\t" gid[group[name]] >homes_file
    }
    for (i = 1; i <= kept_user_count; i++) print kept_users[i] >passwd_file
    for (i = 1; i <= kept_shadow_count; i++) print kept_shadow[i] >shadow_file
    exit failed
}
